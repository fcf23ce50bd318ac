"""Checkpoints of training programs and their bases from a hub, by a server that answers as it."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

import pytest
import torch

from latent_tts.models import AutoLatentModel
from latent_tts.models.formats import SourceOptions
from tests.models.formats.written import QUESTIONS, write_base, write_coconut, write_codi
from tests.models.test_adapter import write_adapter

PROGRAM = """
import json, sys, torch
from latent_tts.harness.provenance import checkpoint_record
from latent_tts.models import AutoLatentModel
from latent_tts.models.formats import SourceOptions
for name, backbone, options in json.loads(sys.argv[1]):
    model = AutoLatentModel.from_pretrained(
        name, backbone=backbone, source=SourceOptions(**options)
    )
    prompt = model.encode_prompt(model.tokenizer, sys.argv[2])
    found = model.generate(torch.tensor([prompt]), latent_do_sample=False, max_new_tokens=12)
    record = checkpoint_record(model, name, "main")
    print(json.dumps({"ids": found[0].tolist(), "record": record}))
"""


class Hub(BaseHTTPRequestHandler):
    """Serves folders as repositories; the commit of each is a digest of its name."""

    folders: dict

    def do_HEAD(self):
        self.answer(body=False)

    def do_GET(self):
        self.answer(body=True)

    def answer(self, *, body):
        path = unquote(self.path.partition("?")[0])
        parts = path.removeprefix("/api/models").strip("/").split("/")
        name = "/".join(parts[:2])
        folder, commit = self.folders.get(name), commit_of(name)
        files = sorted(one for one in folder.iterdir() if one.is_file()) if folder else []
        if path.startswith("/api/") and "/tree/" in path:
            data = json.dumps([entry(file) for file in files]).encode()
        elif path.startswith("/api/"):
            siblings = [{"rfilename": file.name} for file in files]
            data = json.dumps({"id": name, "sha": commit, "siblings": siblings}).encode()
        else:
            file = next((one for one in files if one.name == parts[-1]), None)
            data = None if file is None else file.read_bytes()
        missing = folder is None or data is None
        self.send_response(404 if missing else 200)
        if missing:
            self.send_header("X-Error-Code", "EntryNotFound" if folder else "RepoNotFound")
            data = b""
        self.send_header("ETag", f'"{blob(data)}"')
        self.send_header("X-Repo-Commit", commit)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if body:
            self.wfile.write(data)

    def log_message(self, *_):
        pass


def commit_of(name):
    return hashlib.sha1(name.encode()).hexdigest()


def blob(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def entry(file):
    data = file.read_bytes()
    return {"type": "file", "path": file.name, "size": len(data), "oid": blob(data)}


@pytest.fixture
def serve():
    servers = []

    def start(folders):
        kind = type("OneHub", (Hub,), {"folders": folders})
        server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


def digest_of(*files):
    """The digest that results have of a part's files."""
    parts = b"".join(hashlib.sha256(file.read_bytes()).digest() for file in sorted(files))
    return hashlib.sha256(parts).hexdigest()


@pytest.mark.slow
def test_checkpoint_and_base_are_named_with_commit_and_digest(tmp_path, serve, checkpoints):
    base = write_base(tmp_path / "base", "GPT2", bos=False)
    coconut = write_coconut(tmp_path / "coconut", base, thoughts=2).path.parent
    codi = write_codi(tmp_path / "codi", base, ["c_attn"]).path
    (codi / "config.json").write_bytes(b"")  # as it lies on the hub
    latent = write_base(tmp_path / "latent", "GPT2", bos=False, extra=LATENT)
    write_adapter(tmp_path / "adapter", latent, "GPT2")
    names = {"me/base": base, "me/coconut": coconut, "me/codi": codi}
    names |= {"me/latent": latent, "me/adapter": tmp_path / "adapter"}
    names |= {"me/released": checkpoints["coconut"]}
    given = [
        ("me/coconut", None, {"base": "me/base", "latent_length": 2}),
        ("me/codi", None, {"base": "me/base", "lora_alpha": 8}),
        ("me/adapter", "coconut", {"base": "me/latent", "latent_length": 2}),
        ("me/released", None, {}),
    ]
    surroundings = os.environ | {"HF_HUB_OFFLINE": "0", "HF_ENDPOINT": serve(names)}
    surroundings |= {"HF_HOME": str(tmp_path / "home"), "HF_HUB_DISABLE_XET": "1"}
    command = [sys.executable, "-c", PROGRAM, json.dumps(given), QUESTIONS[0]]
    done = subprocess.run(command, env=surroundings, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    for (name, backbone, options), one in zip(given, found, strict=True):
        folder, record = names[name], one["record"]
        assert record["commit"] == commit_of(name)
        assert record.get("base_commit") == (commit_of(options["base"]) if options else None)
        weights = [*folder.glob("checkpoint_*"), *folder.glob("*model.*")]
        assert record["weights_sha256"] == digest_of(*weights)
        local = options | ({"base": str(names[options["base"]])} if options else {})
        model = AutoLatentModel.from_pretrained(
            folder, backbone=backbone, source=SourceOptions(**local)
        )
        prompt = torch.tensor([model.encode_prompt(model.tokenizer, QUESTIONS[0])])
        ids = model.generate(prompt, latent_do_sample=False, max_new_tokens=12)[0].tolist()
        assert one["ids"] == ids
    assert found[2]["record"]["base_sha256"] == digest_of(latent / "model.safetensors")


LATENT = ("<|start-latent|>", "<|end-latent|>", "<|latent|>")

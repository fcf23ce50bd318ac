"""The hub's way, by a small server that answers as the hub does."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

COMMIT = "c" * 40
FILES = {
    "config.json": b"{}",
    "model.safetensors": b"weights",
    "tokenizer.json": b"{}",
    "tokenizer_config.json": b"{}",
    "LICENSE": b"text",
    "onnx/model.onnx": b"not wanted",
}
PROGRAM = """
import sys
from dataclasses import replace
from latent_tts.models import ModelError
from latent_tts.models.bases import BASES, fetch_base
BASES["smollm2"] = replace(BASES["smollm2"], megabytes=1)
try:
    print(fetch_base("smollm2@hub", cache=sys.argv[1]))
except ModelError as error:
    print("error:", error)
"""


class Hub(BaseHTTPRequestHandler):
    changed = False

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, *, body: bool) -> None:
        name = self.path.partition("/resolve/")[2].partition("/")[2]
        if "/api/models/" in self.path:
            siblings = [{"rfilename": file} for file in FILES]
            data = json.dumps({"id": "x/y", "sha": COMMIT, "siblings": siblings}).encode()
            etag = "none"
        else:
            data = FILES[name]
            etag = hashlib.sha256(data).hexdigest()
            if name != "model.safetensors":  # small files have git's digest
                etag = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
            elif self.changed:
                data = b"Weights"
        self.send_response(200)
        self.send_header("ETag", f'"{etag}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if body:
            self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub() -> Iterator[ThreadingHTTPServer]:
    kind = type("OneHub", (Hub,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def run(server: ThreadingHTTPServer, cache: Path) -> str:
    # A process of its own: the hub's client reads its settings when it is imported.
    surroundings = os.environ | {
        "HF_HUB_OFFLINE": "0",
        "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}",
        "HF_HOME": str(cache / "home"),
    }
    command = [sys.executable, "-c", PROGRAM, str(cache)]
    done = subprocess.run(command, env=surroundings, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1]


@pytest.mark.slow
def test_the_hubs_files_are_fetched_and_checked(hub: ThreadingHTTPServer, tmp_path: Path) -> None:
    folder = Path(run(hub, tmp_path))
    assert folder == tmp_path / "bases" / "smollm2" / "hub"
    record = json.loads((folder / "fetched.json").read_text())
    assert record["source"] == f"HuggingFaceTB/SmolLM2-135M-Instruct@{COMMIT}"
    wanted = {name: data for name, data in FILES.items() if "/" not in name}
    assert {file.name for file in folder.iterdir()} == {*wanted, "fetched.json"}
    assert all((folder / name).read_bytes() == data for name, data in wanted.items())


@pytest.mark.slow
def test_what_was_changed_on_the_way_is_refused(hub: ThreadingHTTPServer, tmp_path: Path) -> None:
    hub.RequestHandlerClass.changed = True
    assert "model.safetensors has the digest" in run(hub, tmp_path)
    assert not (tmp_path / "bases" / "smollm2" / "hub").exists()

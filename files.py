"""Files that are never seen in part, and room for them."""

import os
import shutil
import socket
import time
from contextlib import suppress
from pathlib import Path

_STALE_SECONDS = 3600  # since a program last wrote a part: by then it was killed


def write_at_once(path: Path, content: bytes) -> None:
    """Write a file that is never seen in part, whatever happens meanwhile.

    Several programs may write it at a time; the last one wins.
    """
    own = f".{path.name}.{socket.gethostname()}-"
    for part in path.parent.glob(f".{path.name}.*.tmp"):
        with suppress(FileNotFoundError):
            number = part.name.removeprefix(own).removesuffix(".tmp")
            if not _may_be_written(part, int(number) if number.isdecimal() else None):
                part.unlink()
    part = path.with_name(f"{own}{os.getpid()}.tmp")
    try:
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _may_be_written(part: Path, process: int | None) -> bool:
    """Tell whether a program, of this machine if its process is known, may be writing a part."""
    if process is not None:
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return False
        except OSError:
            pass  # it is another user's
    return time.time() - part.stat().st_mtime < _STALE_SECONDS


def free_bytes(path: Path) -> int:
    """Return how much may be written where a path lies or, if it is not there yet, will lie."""
    there = path.absolute()
    while not there.exists() and there != there.parent:
        there = there.parent
    return shutil.disk_usage(there).free

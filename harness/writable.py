"""Folders into which nothing can be written: found out before anything is computed."""

import os
import tempfile
from pathlib import Path

from ..results.errors import ResultsError

_PROBE = bytes(1 << 20)  # a full disk may still take a few bytes


def check_writable(folder: Path, *, asked: str) -> None:
    """Make sure that files can be written into a folder, which need not be there yet.

    Args:
        folder: where files are to lie; nothing of it is made.
        asked: the flag and its value, for the message.

    Raises:
        ResultsError: a file stands where a folder is meant, or nothing can be written there.
    """
    there = folder.expanduser().absolute()
    while not there.exists() and there != there.parent:
        there = there.parent
    try:
        with tempfile.TemporaryFile(dir=there) as probe:
            probe.write(_PROBE)
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as error:
        raise ResultsError(
            f"{asked} cannot be written: {error.strerror or error} ({there}). Nothing was computed "
            "yet. Free space or name another place."
        ) from error

"""A file to which whole lines are appended, whatever happens meanwhile."""

import os
import time
from pathlib import Path

_SYNC_SECONDS = 1.0  # of work that a power cut may take; a killed program loses no line


class Appended:
    """A new file of one writer.

    Args:
        path: must not be there yet.
        first: what it begins with.

    Raises:
        OSError: it cannot be written.
    """

    def __init__(self, path: Path, first: bytes) -> None:
        self._file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
        self._size, self._synced = 0, time.monotonic()
        self.append(first)

    def append(self, lines: bytes) -> None:
        """Append lines; where they do not fit, the file is as it was.

        Raises:
            OSError: they cannot be written.
        """
        try:
            left = memoryview(lines)
            while left:
                left = left[os.write(self._file, left) :]
            if time.monotonic() - self._synced > _SYNC_SECONDS:
                os.fsync(self._file)
                self._synced = time.monotonic()
        except OSError:
            os.ftruncate(self._file, self._size)
            os.lseek(self._file, self._size, os.SEEK_SET)
            raise
        self._size += len(lines)

    def close(self) -> None:
        """Bring everything to the disk, and end."""
        try:
            os.fsync(self._file)
        finally:
            os.close(self._file)

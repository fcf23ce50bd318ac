"""Files that are never seen in part."""

import os
from pathlib import Path


def write_at_once(path: Path, content: bytes) -> None:
    """Write a file that is never seen in part, whatever happens meanwhile."""
    for stale in path.parent.glob(f".{path.name}.*.tmp"):
        stale.unlink(missing_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with part.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)

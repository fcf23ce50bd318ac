"""Files that appear together, complete, and replace none."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from ..errors import ResultsError
from ..runs.lm_eval_files import writing


def write_new(files: Mapping[Path, bytes]) -> None:
    """Write files where none is.

    Raises:
        ResultsError: one is there already, or cannot be written; then none appears.
    """
    for path in files:
        if path.exists():
            raise ResultsError(f"{str(path)!r} is there already. Remove it, or name another place.")
    parts = {path: path.with_name(f"{path.name}.part") for path in files}
    try:
        for path, content in files.items():
            with writing(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                parts[path].write_bytes(content)
        for path, part in parts.items():
            with writing(path):
                part.rename(path)
    finally:
        for part in parts.values():
            with suppress(OSError):
                part.unlink()

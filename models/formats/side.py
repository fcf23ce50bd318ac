"""What the config.json beside weights says, where there is one."""

from collections.abc import Mapping
from pathlib import Path

import msgspec


def stated(folder: Path) -> Mapping[str, object]:
    """Return what a folder's config.json says; nothing for a missing, empty or damaged file."""
    try:
        found = msgspec.json.decode((folder / "config.json").read_bytes())
    except (OSError, msgspec.DecodeError):
        return {}
    return found if isinstance(found, dict) else {}


def model_type(folder: Path) -> str | None:
    """Return what kind of model a folder's config.json says, None where it says none."""
    found = stated(folder).get("model_type")
    return found if isinstance(found, str) and found else None

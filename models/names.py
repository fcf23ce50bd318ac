"""Names of checkpoints: those that ship, bases that were fetched, folders, files and hub ids."""

import os
from pathlib import Path

from ..registry import near
from .bases import BASES, use_base
from .errors import ModelError

SHIPPED = Path(__file__).parent / "checkpoints"


def resolve_checkpoint(path_or_id: str) -> str:
    """Return the folder of a checkpoint that ships with the package, or the name as it was given.

    Raises:
        ModelError: the name is a path and there is no such folder.
    """
    names = sorted(folder.name for folder in SHIPPED.glob("*") if folder.is_dir())
    if path_or_id in names:
        return str(SHIPPED / path_or_id)
    if path_or_id.partition("@")[0] in BASES:
        return str(use_base(path_or_id))
    path = Path(path_or_id).expanduser()
    if path_or_id and os.path.exists(path):  # not path.exists(), which raises for long names
        return str(path)
    looks_like_path = path.is_absolute() or path_or_id.startswith((".", "~"))
    if looks_like_path or path_or_id.count("/") != 1:
        raise ModelError(
            f"No checkpoint at {path_or_id!r}.{near(path_or_id, names)} Give a folder with "
            f"config.json, a hub id owner/name, a base ({', '.join(BASES)}), or one that ships: "
            f"{', '.join(names)}."
        )
    return path_or_id

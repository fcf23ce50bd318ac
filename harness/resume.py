"""Training that goes on where a killed run stopped, and under no other recipe."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..differences import differences
from ..errors import LatentTTSError
from ..files import write_at_once


def keep_recipe(
    path: Path, recipe: Mapping[str, Any], *, otherwise: Callable[[str], LatentTTSError]
) -> None:
    """Write what determines a training, or refuse to go on with what another recipe began.

    Args:
        path: file beside the checkpoints.
        recipe: everything that determines them.
        otherwise: returns what is raised where the file holds another recipe, given what differs,
            `name was 1 and is now 2` each.
    """
    text = json.dumps(recipe, indent=2)
    if path.exists():
        new, old = json.loads(text), json.loads(path.read_text(encoding="utf-8"))
        if differs := differences(old, new):
            raise otherwise("; ".join(differs.values()))
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    write_at_once(path, f"{text}\n".encode())

"""Training that goes on where a killed run stopped, and under no other recipe."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import LatentTTSError


def keep_recipe(path: Path, recipe: Mapping[str, Any], *, otherwise: LatentTTSError) -> None:
    """Write what determines a training, or refuse to go on with what another recipe began.

    Args:
        path: file beside the checkpoints.
        recipe: everything that determines them.
        otherwise: raised where the file holds another recipe.
    """
    text = json.dumps(recipe, indent=2)
    if path.exists():
        if json.loads(path.read_text(encoding="utf-8")) != json.loads(text):
            raise otherwise
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.write_text(f"{text}\n", encoding="utf-8")
    new.replace(path)  # never seen in part

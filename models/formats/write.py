"""Write a checkpoint of a training program as a folder in the released format."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch

from ..errors import ModelError
from .layout import Checkpoint


def write_released(
    model: Any, checkpoint: Checkpoint, folder: Path, *, source: str, command: str
) -> None:
    """Write model, tokenizer and card; the folder appears when all of it is there.

    Args:
        model: made of `checkpoint`.
        checkpoint: what was read.
        folder: must not exist, or be empty.
        source: name of the source, for the card.
        command: that writes it, for the card.

    Raises:
        ModelError: the folder cannot be written, or holds something.
    """
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise ModelError(f"{str(folder)!r} is there already. Give another --output.")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    except OSError as error:
        raise ModelError(f"{str(folder)!r} cannot be written: {error}") from error
    try:
        model.save_pretrained(unfinished)
        checkpoint.tokenizer.save_pretrained(unfinished)
        card = _card(model, checkpoint, source=source, command=command)
        (unfinished / "README.md").write_text(card, encoding="utf-8")
        unfinished.chmod(0o755)
        if folder.is_dir():
            folder.rmdir()
        unfinished.rename(folder)
    except OSError as error:
        raise ModelError(f"{str(folder)!r} cannot be written: {error}") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _card(model: Any, checkpoint: Checkpoint, *, source: str, command: str) -> str:
    facts = [
        *checkpoint.found,
        *(f"left out: {pattern}" for pattern in checkpoint.left_out),
        f"{sum(weight.numel() for weight in model.parameters()):,} parameters in "
        f"{str(_dtype(model)).removeprefix('torch.')}",
    ]
    listed = "\n".join(f"- {fact}" for fact in facts)
    return f"""---
tags: [latent-reasoning, {checkpoint.method}]
---

# {model.config.architectures[0]}

Converted from `{source}`, whose licence holds for it, by

    {command}

{listed}
"""


def _dtype(model: Any) -> torch.dtype:
    return next(model.parameters()).dtype

"""Write a model that was loaded from any layout as a folder in the released format."""

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import ModelError


def check_new(folder: Path) -> None:
    """Raise ModelError unless a folder is not there, or empty."""
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise ModelError(f"{str(folder)!r} is there already. Give another --output.")


def write_released(
    model: Any, folder: Path, *, facts: Sequence[str], source: str, command: str
) -> None:
    """Write model, tokenizer and card; the folder appears when all of it is there.

    Args:
        model: with its tokenizer.
        folder: must not exist, or be empty.
        facts: what the model is, for the card.
        source: name of the source, for the card.
        command: that writes it, for the card.

    Raises:
        ModelError: the folder cannot be written, or holds something.
    """
    check_new(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    except OSError as error:
        raise ModelError(f"{str(folder)!r} cannot be written: {error}") from error
    try:
        model.save_pretrained(unfinished)
        if model.tokenizer is not None:
            model.tokenizer.save_pretrained(unfinished)
        card = _card(model, facts, source=source, command=command)
        (unfinished / "README.md").write_text(card, encoding="utf-8")
        unfinished.chmod(0o755)
        if folder.is_dir():
            folder.rmdir()
        unfinished.rename(folder)
    except OSError as error:
        raise ModelError(f"{str(folder)!r} cannot be written: {error}") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _card(model: Any, facts: Sequence[str], *, source: str, command: str) -> str:
    size = sum(weight.numel() for weight in model.parameters())
    precision = str(model.dtype).removeprefix("torch.")
    listed = "\n".join(f"- {fact}" for fact in (*facts, f"{size:,} parameters in {precision}"))
    return f"""---
tags: [latent-reasoning, {model.backbone}]
---

# {model.config.architectures[0]}

Converted from `{source}`, whose licence holds for it, by

    {command}

{listed}
"""

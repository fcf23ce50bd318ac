"""Checkpoints that are adapters of a base: a method's weights, without those of the base."""

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from peft import PeftConfig

from .errors import ModelError
from .identity import checkpoint_digest
from .merge import merge_adapters
from .names import resolve_checkpoint
from .weights import load_weights

BASE_FILE = "base.json"
"""In the adapters' folder: the base's name, and the digest of its weights."""


def grow_vocabulary(model: Any, size: int) -> None:
    """Give a model more tokens, where it has fewer; their rows are the mean of all others."""
    old = model.get_input_embeddings().weight.shape[0]
    if size > old:
        model.resize_token_embeddings(size, mean_resizing=False)
        with torch.no_grad():
            for table in {model.get_input_embeddings(), model.get_output_embeddings()}:
                table.weight[old:] = table.weight[:old].mean(dim=0)


def write_base(folder: Path, name: str, digest: str) -> None:
    """Say in a folder of adapters of which base they are."""
    text = json.dumps({"name": name, "digest": digest}, indent=2)
    (folder / BASE_FILE).write_text(f"{text}\n", encoding="utf-8")


def read_base(folder: str | Path) -> Mapping[str, str] | None:
    """Return what `write_base` wrote into a folder of adapters; None where there is nothing."""
    file = Path(folder, BASE_FILE)
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None


def check_base(folder: str | Path, digest: str, name: str) -> None:
    """Raise ModelError where adapters are of another base than one with this digest."""
    base = read_base(folder)
    if base is not None and base["digest"] != digest:
        raise ModelError(
            f"The adapters in {str(folder)!r} are of the base {base['name']!r} (weights "
            f"{base['digest']}); {name!r} has other weights ({digest}). Give their own base."
        )


def load_adapted(kind: type, folder: str, config: Any, **kwargs: Any) -> Any:
    """Load adapters with their base, and add them to its weights.

    Args:
        kind: the class of the backbone.
        folder: of the adapters, with the backbone's config.json beside them.
        config: read from there.
        **kwargs: for `load_weights`.

    Raises:
        ModelError: no such base, another one, or adapters that do not fit.
    """
    about = read_base(folder)
    if about is None:
        raise ModelError(f"{folder} holds adapters but no {BASE_FILE} that names their base.")
    own = PeftConfig.from_pretrained(folder).modules_to_save or ()
    name = resolve_checkpoint(about["name"])
    size = config.get_text_config().vocab_size
    small = copy.deepcopy(config)
    small.get_text_config().vocab_size = type(config).from_pretrained(name).vocab_size
    model: Any = load_weights(kind, name, new=tuple(own), config=small, **kwargs)
    check_base(folder, checkpoint_digest(model, without=tuple(own)), name)
    grow_vocabulary(model, size)
    return merge_adapters(model, folder, name)

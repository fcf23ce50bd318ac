"""Layouts in which training programs leave their checkpoints, each one file.

A layout is recognised from the names of the weights and turned into a `Checkpoint`: config,
weights and tokenizer in the released format, in memory. `AutoLatentModel.from_pretrained` makes a
model of it, and `latent-tts convert` writes it, so both give the same samples.
"""

import json
from dataclasses import replace
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from ..errors import ModelError
from .adapter import AdapterFolder
from .coconut import CoconutStateDict
from .codi import CodiStateDict
from .colar import ColarLightning
from .files import Source
from .layout import Checkpoint, Layout, SourceOptions

__all__ = [
    "LAYOUTS",
    "Checkpoint",
    "Layout",
    "Source",
    "SourceOptions",
    "find_layout",
    "read",
]

LAYOUTS: tuple[Layout, ...] = (
    AdapterFolder(),
    CodiStateDict(),
    ColarLightning(),
    CoconutStateDict(),
)

_SMALL = ["*.json", "*.yaml", "tokenizer*", "vocab*", "merges*"]
_LARGE = ["*.safetensors", "*.bin", "*.ckpt", "checkpoint_*"]


def open_source(name: str, revision: str = "main") -> Source | None:
    """Return the files of a checkpoint that is not in the released format, or None.

    Args:
        name: a file, a folder, or a hub id, whose files are fetched.
        revision: of a hub repository.
    """
    path = Path(name).expanduser()
    if path.is_file():
        return Source(name, path)
    if not path.is_dir():
        try:
            path = Path(snapshot_download(name, revision=revision, allow_patterns=_SMALL))
            if not _model_type(path):
                path = Path(snapshot_download(name, revision=revision, allow_patterns=_LARGE))
        except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError):
            return None  # transformers says what is wrong with a name
    source = Source(name, path)
    return source if not _model_type(path) or _is_raw(source) else None


def find_layout(source: Source) -> Layout:
    """Return the layout of a source's files.

    Raises:
        ModelError: no file of weights, or weights of none of the layouts.
    """
    if source.root.is_dir() and (source.root / "lora_adapter").is_dir():
        raise ModelError(
            f"{source.name!r} is a run folder of Latent-SFT. Its model is the merged one in "
            f"{source.root / 'hf'}: give that folder, and backbone=latent_sft."
        )
    if any(name.startswith("stop_gate.") for name in source.names):
        raise ModelError(
            f"{source.name!r} has a stop gate (stop_gate.*, SLPO, arXiv 2607.19691), whose rule is "
            "not published in a form that could be followed here, so it is not guessed. To think a "
            "fixed number of thoughts without it, give a folder with config.json and "
            "backbone=coconut (or codi), latent_length= and ignore_weights=stop_gate.*"
        )
    for layout in LAYOUTS:
        if layout.recognises(source):
            return layout
    if source.root.is_dir() and list(source.root.glob("adapter_model.*")):
        raise ModelError(
            f"{source.name!r} holds an adapter's weights (adapter_model.*) without its "
            "adapter_config.json, which says rank, scale and base. Copy the whole folder that peft "
            "saved."
        )
    tried = "; ".join(layout.title for layout in LAYOUTS)
    if not source.weight_files:
        holds = "no file of weights (safetensors, pytorch_model.bin, .ckpt, checkpoint_<n>)"
    else:
        holds = f"weights such as {', '.join(sorted(source.names)[:3]) or 'none at all'}"
    raise ModelError(
        f"{source.name!r} is in no known layout: it holds {holds} and no config.json of a latent "
        f"reasoner. Tried were: {tried}."
    )


def read(source: Source, options: SourceOptions) -> Checkpoint:
    """Return a source's checkpoint in the released format.

    Raises:
        ModelError: an unknown layout, or what its `read` raises.
    """
    checkpoint = find_layout(source).read(source, options)
    return replace(checkpoint, commit=source.commit)


def _model_type(folder: Path) -> str | None:
    """Return what config.json says that a folder's model is; None for a missing or empty file."""
    try:
        return json.loads((folder / "config.json").read_text()).get("model_type")
    except (OSError, ValueError, AttributeError):
        return None


def _is_raw(source: Source) -> bool:
    """Return whether weights beside a config.json are in the layout of a training program."""
    return any(layout.recognises(source) for layout in LAYOUTS)

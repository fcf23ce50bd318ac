"""Layouts in which training programs leave their checkpoints, each one file.

A layout is recognised from the names of the weights and turned into a `Checkpoint`: config,
weights and tokenizer in the released format, in memory. `AutoLatentModel.from_pretrained` makes a
model of it, and `latent-tts convert` writes that model, so both give the same samples.
"""

from collections.abc import Sequence
from dataclasses import replace

from ..errors import ModelError
from .checkpoint import Checkpoint, Layout, check_numbers, check_options
from .coconut import CoconutStateDict
from .codi import CodiStateDict
from .colar import ColarLightning
from .gate import gate_error, gate_files, gates_among
from .hub import fetch
from .latent_sft import check_run_folder
from .options import SourceOptions
from .rot import RoTDeepSpeed
from .side import model_type, stated
from .source import Source

__all__ = [
    "LAYOUTS",
    "Checkpoint",
    "Layout",
    "Source",
    "SourceOptions",
    "find_layout",
    "open_source",
    "read",
]

LAYOUTS: tuple[Layout, ...] = (
    CodiStateDict(),
    ColarLightning(),
    CoconutStateDict(),
    RoTDeepSpeed(),
)


def open_source(name: str, revision: str = "main", ignored: Sequence[str] = ()) -> Source | None:
    """Return the files of a checkpoint that is not in the released format, or None.

    Args:
        name: a file, a folder, or a hub id, whose files are fetched.
        revision: of a hub repository.
        ignored: patterns of names of weights that may be left unread.
    """
    path = fetch(name, revision)
    if path is None:
        return None
    source = Source(name, path, tuple(ignored))
    if path.is_file() or not model_type(path):
        return source
    raw = any(layout.recognises(source) for layout in LAYOUTS)
    return source if raw else None


def find_layout(source: Source) -> Layout:
    """Return the layout of a source's files.

    Raises:
        ModelError: no file of weights, or weights of none of the layouts.
    """
    check_run_folder(source.name, source.root)
    gates = gates_among(source.names)
    gates += [name for name in gate_files(source.folder) if not source.leaves(name)]
    if gates:
        raise gate_error(source.name, gates, stated(source.folder))
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
        f"reasoner. Tried were: a peft adapter (adapter_config.json); {tried}."
    )


def read(source: Source, options: SourceOptions) -> Checkpoint:
    """Return a source's checkpoint in the released format.

    Raises:
        ModelError: an unknown layout, an option that contradicts it or that it does not read,
            weights that are no finite numbers, or what the layout's `read` raises.
    """
    layout = find_layout(source)
    check_options(layout, source, options)
    check_numbers(source.tensors, source.name)
    checkpoint = layout.read(source, options)
    if checkpoint.reads_base:
        check_numbers(checkpoint.weights, f"{source.name} with base={checkpoint.base.name}")
    return replace(
        checkpoint,
        commit=source.commit,
        left_out=(*checkpoint.left_out, *source.left_out),
    )

"""What a layout is: how one training program's files become a checkpoint in the released format."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

import torch
from transformers import PreTrainedConfig, PreTrainedTokenizerBase

from ..errors import ModelError
from .base import Base
from .options import SourceOptions
from .source import Source
from .tensors import FLOATS, kind_of_numbers, listed


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A checkpoint in the released format, in memory.

    Attributes:
        method: name of its backbone.
        layout: in which it lay, in words.
        base: that it was trained from.
        weights: by the names of the released format.
        generation: fields of generation_config.json.
        files: what was read of the checkpoint itself.
        reads_base: whether the base's weights are among the checkpoint's.
        found: what else was recognised, in words, one fact each.
        left_out: what was not used, in words.
        commit: of the checkpoint, where that lies on the hub.
    """

    method: str
    layout: str
    base: Base
    weights: Mapping[str, torch.Tensor]
    generation: Mapping[str, object]
    files: tuple[Path, ...]
    reads_base: bool = False
    found: tuple[str, ...]
    left_out: tuple[str, ...] = ()
    commit: str | None = None

    @property
    def config(self) -> PreTrainedConfig:
        """The trunk's, with the method's fields."""
        return self.base.config

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """Has the markers as tokens."""
        return self.base.tokenizer


class Layout(Protocol):
    """One layout; `LAYOUTS` holds all of them.

    Attributes:
        title: whose layout it is, for messages.
        method: name of the backbone that its checkpoints are of.
        reads: the names of the `SourceOptions` that have a meaning for it.
    """

    title: ClassVar[str]
    method: ClassVar[str]
    reads: ClassVar[frozenset[str]]

    def recognises(self, source: Source) -> bool:
        """Return whether the files are in this layout."""

    def read(self, source: Source, options: SourceOptions) -> Checkpoint:
        """Return the checkpoint.

        Raises:
            ModelError: something is missing, does not fit or must be chosen.
        """


def check_options(layout: Layout, source: Source, options: SourceOptions) -> None:
    """Raise ModelError for an option that contradicts the files, or that nobody would read."""
    if options.backbone not in (None, layout.method):
        raise ModelError(
            f"backbone={options.backbone!r}, but {source.name!r} is {layout.title}, which is "
            f"{layout.method}. Leave backbone= out."
        )
    unread = options.given().keys() - layout.reads - {"backbone"}
    if unread:
        name = min(unread)
        raise ModelError(
            f"{name}={getattr(options, name)!r} has no meaning for {source.name!r}, which is "
            f"{layout.title}; such files are read with {', '.join(sorted(layout.reads))}. Leave "
            "it out."
        )


def check_kinds(kinds: Mapping[str, str], name: str) -> None:
    """Raise ModelError where weights are no numbers with a fraction, as quantized ones are.

    Args:
        kinds: of what numbers each weight is, by its name.
        name: of the checkpoint, for the message.
    """
    other = [f"{each} ({kind})" for each, kind in kinds.items() if kind not in FLOATS]
    if other:
        raise ModelError(
            f"{name!r} holds weights that are no numbers of 16, 32 or 64 bits with a fraction: "
            f"{listed(other)}. Numbers of fewer bits say nothing without their scales: give the "
            "checkpoint before it was quantized."
        )


def check_numbers(weights: Mapping[str, torch.Tensor], name: str) -> None:
    """Raise ModelError where weights are not finite numbers with a fraction.

    Args:
        weights: by name.
        name: of the checkpoint, for the message.
    """
    check_kinds({each: kind_of_numbers(weight) for each, weight in weights.items()}, name)
    lost = [
        each
        for each, weight in weights.items()
        if weight.device.type != "meta" and not torch.isfinite(weight).all()
    ]
    if lost:
        raise ModelError(
            f"{name!r} holds weights that are no finite numbers, as after a training that "
            f"diverged: {listed(lost)}. Take an earlier checkpoint."
        )

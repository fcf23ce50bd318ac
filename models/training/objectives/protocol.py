"""What an objective is: a frozen dataclass whose fields are the parameters that users type."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import torch
from torch import nn

from ...errors import ModelError
from ...fields import check_fields
from ...samplers import Sampler
from ..course import Example, Turn
from ..soft_labels import SoftLabels

Batch = dict[str, Any]
"""Tensors of a batch, and under `counts` by how much each term's sum is divided, i64[]."""


@dataclass(frozen=True, kw_only=True)
class Objective:
    """How a batch is made of examples, and what is minimised.

    A subclass is a frozen dataclass, one file. Its fields have names of their own among all
    objectives, made by `models.fields`.

    Attributes:
        name: what users type, `objective: codi`.
        backbone: the method whose models are trained; None for plain causal language models.
        weights: of each term of the loss; a term is its sum over an update's batches, divided by
            its count over the same, so that it depends on no batch's padding or size.
    """

    name: ClassVar[str]
    backbone: ClassVar[str | None] = None

    def __post_init__(self) -> None:
        """Check every parameter."""
        check_fields(self)

    def check_sampler(self, model: Any, sampler: Sampler) -> None:
        """Raise ModelError for a sampler that would do nothing, or that the model cannot serve."""
        if self.backbone is not None:
            sampler.check(model)
        elif type(sampler) is not Sampler:
            given = " and ".join(f"train_{one.name}" for one in fields(sampler))
            raise ModelError(
                f"objective {self.name} has no thoughts that the sampler {sampler.name} could make "
                f"random. Leave out {given}, or train a latent method."
            )

    @property
    def weights(self) -> Mapping[str, float]:
        """Of each term of the loss."""
        return {"text": 1.0}

    @property
    def own_modules(self) -> tuple[str, ...]:
        """Names of the modules that the method adds to a model, which are trained whole."""
        return ()

    def config(self, base: Any) -> Mapping[str, Any]:
        """Return what the method adds to the config of a base model."""
        return {}

    def settle(self, model: Any) -> None:
        """Measure what the method must know of a model that was none of its own yet."""
        return None

    def helpers(self, model: Any) -> nn.ModuleDict:
        """Return modules that are trained with the model and thrown away after."""
        return nn.ModuleDict()

    def begin(self, examples: Sequence[Example], start: Mapping[str, str]) -> Mapping[str, str]:
        """Return digests of what else is learned from.

        Args:
            examples: of the training.
            start: digests of the weights that it starts from.

        Raises:
            ModelError: what else is learned from is of other examples or weights.
        """
        return {}

    def soft_labels_of(
        self, model: Any, tokenizer: Any, examples: Sequence[Example], helpers: nn.ModuleDict
    ) -> SoftLabels | None:
        """Return what a next stage learns from, made by the trained model; None for nothing."""
        return None

    def stage_starts(self, updates: int) -> Sequence[int]:
        """Return the updates before which the optimizer is reset and the learning rate begins."""
        return [0]

    def generation(self, update: int, updates: int) -> Mapping[str, Any]:
        """Return with what settings a model thinks after so many of all updates."""
        return {}

    def longest(self, model: Any, tokenizer: Any, example: Example) -> int:
        """Return the positions that an example may take in any stage."""
        raise NotImplementedError

    def collate(
        self, model: Any, tokenizer: Any, turns: Sequence[Turn], *, updates: int, seed: int
    ) -> Batch:
        """Return the batch of some turns.

        Args:
            model: gives the prompt format and the markers.
            tokenizer: the model's.
            turns: the examples of the batch.
            updates: of the whole training.
            seed: of all that is random.
        """
        raise NotImplementedError

    def loss(
        self, model: Any, batch: Batch, sampler: Sampler, helpers: nn.ModuleDict
    ) -> Mapping[str, torch.Tensor]:
        """Return each term's sum over the batch, f[].

        Args:
            model: gradients flow to its weights.
            batch: as `collate` returns it.
            sampler: makes thoughts random while training.
            helpers: as `helpers` returned them.
        """
        raise NotImplementedError


def encode(tokenizer: Any, text: str) -> list[int]:
    """Return a text's token ids, without any that the tokenizer would add."""
    return tokenizer.encode(text, add_special_tokens=False)


def written(steps: Sequence[str], answer: str) -> str:
    """Return steps, a line each, and the answer: `### 18`."""
    return "".join(f"{step}\n" for step in steps) + f"### {answer}"

"""Chain of thought written out: the start of every latent method, and their baseline."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import nn

from ...backbones.explicit import Explicit as Backbone
from ...samplers import Sampler
from ..batches import Sequences, pad_batch
from ..course import Example, Turn
from ..unroll import learned_loss, unroll
from .protocol import Batch, Objective, encode, written


def explicit_row(tokenizer: Any, example: Example, *, visit: int = 0) -> Sequences:
    """Return the tokens of a question and of its written steps, answer and eos, all learned.

    The line break between them is a token of its own, as where the backbone samples: a tokenizer
    may have one for `?` and the line break together.
    """
    prompt = [*encode(tokenizer, example.question), *encode(tokenizer, Backbone.end_marker)]
    text = encode(tokenizer, written(example.steps, ""))
    text += [*encode(tokenizer, example.answer), tokenizer.eos_token_id]
    return Sequences(prompt, text, len(text), visit)


@dataclass(frozen=True, kw_only=True)
class Explicit(Objective):
    """Learns steps and answer after the question.

    The text is the question and a line break, each step and a line break, `### ` with the answer,
    and the end-of-sequence token.
    """

    name: ClassVar[str] = "explicit"

    def longest(self, model: Any, tokenizer: Any, example: Example) -> int:
        """Return the tokens of question, steps and answer."""
        row = explicit_row(tokenizer, example)
        return len(row.prompt) + len(row.text)

    def collate(
        self, model: Any, tokenizer: Any, turns: Sequence[Turn], *, updates: int, seed: int
    ) -> Batch:
        """Return what `pad_batch` returns; steps, answer and eos are learned."""
        found = [explicit_row(tokenizer, turn.example, visit=turn.visit) for turn in turns]
        # Without thoughts between them, all but the first token can be text: rows are padded at one
        # end alone, which saves a fifth of what a batch of real questions computes.
        rows = [
            Sequences(row.prompt[:1], [*row.prompt[1:], *row.text], row.learned, row.visit)
            for row in found
        ]
        batch: Batch = dict(pad_batch(rows, pad=tokenizer.pad_token_id, seed=seed))
        return batch | {"counts": {"text": torch.tensor(len(batch["targets"]))}}

    def loss(
        self, model: Any, batch: Batch, sampler: Sampler, helpers: nn.ModuleDict
    ) -> Mapping[str, torch.Tensor]:
        """Return the summed cross-entropy of steps, answer and eos."""
        return {"text": learned_loss(model, unroll(model, batch).states, batch)}

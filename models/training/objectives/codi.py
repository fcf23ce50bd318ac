"""CODI: the model teaches its thoughts what it writes (arXiv 2502.21074)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import nn
from torch.nn import functional

from ...fields import integer, real
from ...samplers import Sampler
from ..batches import Sequences, pad_batch
from ..course import Example, Turn
from ..unroll import learned_loss, unroll
from .explicit import explicit_row
from .protocol import Batch, Objective, encode, written


@dataclass(frozen=True, kw_only=True)
class CodiObjective(Objective):
    """Teacher and student share all weights: the teacher writes steps, the student thinks.

    At the last token before the answer the student's states of every layer approach the teacher's,
    which get no gradient from it.

    Attributes:
        codi_thoughts: that the student thinks.
        distill_weight: of the distance between the states.
        teacher_weight: of the teacher's cross-entropy.
        projector_width: of the projector's middle; 0 for the model's own.
        projector_dropout: before the projector.
    """

    name: ClassVar[str] = "codi"
    backbone: ClassVar[str | None] = "codi"

    codi_thoughts: int = integer(6, least=1)
    distill_weight: float = real(1.0)
    teacher_weight: float = real(1.0)
    projector_width: int = integer(0, least=0)
    projector_dropout: float = real(0.0, below=1.0)

    @property
    def weights(self) -> Mapping[str, float]:
        """Of the student's text, the teacher's, and the distance."""
        return {"text": 1.0, "teacher": self.teacher_weight, "distill": self.distill_weight}

    @property
    def own_modules(self) -> tuple[str, ...]:
        """The projector."""
        return ("projector",)

    def config(self, base: Any) -> Mapping[str, Any]:
        """Return the projector's sizes."""
        return {
            "projector": True,
            "projector_hidden_size": self.projector_width or base.get_text_config().hidden_size,
            "projector_dropout": self.projector_dropout,
        }

    def generation(self, update: int, updates: int) -> Mapping[str, Any]:
        """Return how many thoughts there are."""
        return {"latent_length": self.codi_thoughts}

    def longest(self, model: Any, tokenizer: Any, example: Example) -> int:
        """Return the positions of teacher or student, whichever takes more."""
        teacher, student = explicit_row(tokenizer, example), _student(model, tokenizer, example)
        return max(
            len(teacher.prompt) + len(teacher.text),
            len(student.prompt) + self.codi_thoughts + len(student.text),
        )

    def collate(
        self, model: Any, tokenizer: Any, turns: Sequence[Turn], *, updates: int, seed: int
    ) -> Batch:
        """Return the batches of teacher and student, and where their states are compared.

        `before` is i64[B] each: the index of the last token before the answer, in the text.
        """
        pad = tokenizer.pad_token_id
        batch: Batch = {"counts": {"distill": torch.tensor(len(turns))}}
        for who, count in (("teacher", "teacher"), ("student", "text")):
            rows = [
                explicit_row(tokenizer, turn.example, visit=turn.visit)
                if who == "teacher"
                else _student(model, tokenizer, turn.example, visit=turn.visit)
                for turn in turns
            ]
            after = [len(encode(tokenizer, turn.example.answer)) + 1 for turn in turns]
            batch[who] = dict(pad_batch(rows, pad=pad, seed=seed)) | {
                "before": torch.tensor(
                    [len(row.text) - own - 1 for row, own in zip(rows, after, strict=True)]
                )
            }
            batch["counts"][count] = torch.tensor(len(batch[who]["targets"]))
        return batch

    def loss(
        self, model: Any, batch: Batch, sampler: Sampler, helpers: nn.ModuleDict
    ) -> Mapping[str, torch.Tensor]:
        """Return both summed cross-entropies, and the distance summed over examples."""
        teacher = unroll(model, batch["teacher"], layers=True)
        student = unroll(
            model, batch["student"], thoughts=self.codi_thoughts, sampler=sampler, layers=True
        )
        wanted, found = (
            torch.stack([layer[torch.arange(len(at)), at] for layer in read.layers])
            for read, at in (
                (teacher, batch["teacher"]["before"]),
                (student, batch["student"]["before"]),
            )
        )
        return {
            "text": learned_loss(model, student.states, batch["student"]),
            "teacher": learned_loss(model, teacher.states, batch["teacher"]),
            "distill": distance(found, wanted.detach()) * found.shape[1],
        }


def distance(found: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Return the mean over layers of smooth-L1, in units of each layer's own spread.

    Args:
        found: f[L, B, D], the student's states.
        wanted: f[L, B, D], the teacher's; a layer is divided by the standard deviation of its B * D
            values.
    """
    apart = functional.smooth_l1_loss(found, wanted, reduction="none").mean(dim=(1, 2))
    return (apart / wanted.flatten(1).std(dim=1)).mean()


def _student(model: Any, tokenizer: Any, example: Example, *, visit: int = 0) -> Sequences:
    learned = [*encode(tokenizer, written((), "")), *encode(tokenizer, example.answer)]
    learned.append(tokenizer.eos_token_id)
    prompt = model.encode_prompt(tokenizer, example.question)
    return Sequences(prompt, [model.latent_tokens.end, *learned], len(learned), visit)

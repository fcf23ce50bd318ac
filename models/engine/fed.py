"""What rows are fed in a step, and what the host knows of it."""

from dataclasses import dataclass

import torch

from ..backbones.mixture import Mixture


@dataclass(frozen=True)
class Step:
    """What every row is fed next.

    Attributes:
        tokens: i64[R], a placeholder where a thought follows.
        thinks: bool[R], which rows think on.
        inputs: f[R, D], the input embeddings, thoughts among them.
        mixture: of what tokens the thoughts are mixed, where they are.
        cold: i64[R], for how many steps rows have been certain, where that is counted.
    """

    tokens: torch.Tensor
    thinks: torch.Tensor
    inputs: torch.Tensor
    mixture: Mixture | None = None
    cold: torch.Tensor | None = None

    def select(self, chosen: torch.Tensor | slice) -> "Step":
        """Return the step of the rows at `chosen`, i64[R']."""
        return Step(
            self.tokens[chosen],
            self.thinks[chosen],
            self.inputs[chosen],
            None if self.mixture is None else self.mixture.select(chosen),
            None if self.cold is None else self.cold[chosen],
        )


@dataclass(frozen=True, kw_only=True)
class Told:
    """What the host knows of a step: brought from the device at once, as each copy is waited for.

    Attributes:
        index: of each row in the record.
        thoughts: that each has read.
        tokens: that each is fed.
        answers: which rows write their answer; 0 or 1, like all below.
        thinks: which rows think on.
        ended: which rows end by it.
        truncated: which of them without end of sequence.
        sampled: which rows read what they are fed under the sampler.
        asking: which rows need the head's next token after it.
        states: whose hidden states are finite.
        logits: whose logits are finite, where there are any.
        stays: bool[R], which rows do not end, on the device.
    """

    stays: torch.Tensor
    index: list[int]
    thoughts: list[int]
    tokens: list[int]
    answers: list[int]
    thinks: list[int]
    ended: list[int]
    truncated: list[int]
    sampled: list[int]
    asking: list[int]
    states: list[int]
    logits: list[int]

    @classmethod
    def of(cls, *, stays: torch.Tensor, **tensors: torch.Tensor) -> "Told":
        """Bring what the other attributes name, i64[R] or bool[R], to the host."""
        found = torch.stack([tensor.long() for tensor in tensors.values()]).tolist()
        return cls(stays=stays, **dict(zip(tensors, found, strict=True)))

"""Proposals of beams: which are equal, which are best, and how many thoughts each beam proposes."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ..models.samplers.randomness import branch_keys

# Equal thoughts may differ in their last bits where they stand in other rows of a batch.
_SAME = 1e-5


@dataclass(kw_only=True)
class Proposal:
    """One beam or proposal.

    Attributes:
        question: which prompt.
        rewards: r_t so far.
        row: its row in the batch, or in the group where its thinking has ended.
        parent: beam that proposed it; -1 for one that ended earlier.
        thought: f32[D], the proposed thought; None where thinking has ended.
        group: number of the rows that it was set aside with; None while it thinks.
    """

    question: int
    rewards: list[float]
    row: int
    parent: int
    thought: NDArray[np.float32] | None = None
    group: int | None = None

    @property
    def score(self) -> float:
        """The sum of r_t; below every number where it is none."""
        total = sum(self.rewards)
        return total if np.isfinite(total) else -np.inf

    def equals(self, other: "Proposal") -> bool:
        """Whether both hold the same thoughts; those of different parents never do."""
        if self.parent != other.parent or self.parent < 0:
            return False
        if self.thought is None or other.thought is None:
            return self.thought is other.thought
        return bool(np.allclose(self.thought, other.thought, rtol=_SAME, atol=_SAME))


def select_best(beams: Sequence[Proposal], width: int) -> list[Proposal]:
    """Return the best k = `width` different beams of every question."""
    different: dict[int, list[Proposal]] = {}
    for beam in beams:
        own = different.setdefault(beam.question, [])
        # The earliest of equal ones: their scores differ in last bits, which no batch may do.
        if not any(beam.equals(other) for other in own):
            own.append(beam)
    return [
        beam
        for _, own in sorted(different.items())
        for beam in sorted(own, key=lambda beam: -beam.score)[:width]
    ]


def share_out(
    parents: Sequence[Proposal], ended: Sequence[Proposal], *, width: int, candidates: int
) -> list[int]:
    """Return how many thoughts each beam proposes next.

    Each proposes m. Where a question has fewer than k beams, because others were equal, those
    that still think share the proposals that are left over.
    """
    thinking = Counter(beam.question for beam in parents)
    done = Counter(beam.question for beam in ended)
    shares = []
    for question, count in thinking.items():
        budget = candidates * (width - done[question])
        shares += [budget // count + (number < budget % count) for number in range(count)]
    return shares


def keys_of_proposals(keys: torch.Tensor, shares: list[int], step: int) -> torch.Tensor:
    """Return the addresses i64[R] of rows that leave the beams at `keys` i64[R], so many each."""
    number = torch.cat([torch.arange(share, device=keys.device) for share in shares])
    others = branch_keys(keys, step, max(shares))
    return torch.where(number == 0, keys, others.gather(1, number.unsqueeze(1)).squeeze(1))

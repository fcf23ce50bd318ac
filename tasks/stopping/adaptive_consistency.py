"""Adaptive-Consistency: stop when the leading answer would very likely win."""

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np
from scipy import integrate, special

from ..errors import TaskError
from .protocol import Keys, Rewards, StoppingRule, check_share, counts_of

CRITERIA = ("beta", "dirichlet")


@dataclass(frozen=True)
class AdaptiveConsistency(StoppingRule):
    """Stop when the leading answer is the most probable one with enough posterior probability.

    `beta`, which the paper recommends, compares the two most frequent answers (`leads_second`);
    `dirichlet`, its equation 1, compares the leading one with all that were given (`leads_all`).
    Where fewer than three answers were given both are the same. Samples without an answer are
    spent and do not vote.

    Attributes:
        threshold: posterior probability at which to stop.
        criterion: `beta` or `dirichlet`.
    """

    name: ClassVar[str] = "adaptive_consistency"
    source: ClassVar[str] = "arXiv 2305.11860"

    threshold: float = 0.95
    criterion: str = "beta"

    def __post_init__(self) -> None:
        """Check the parameters."""
        check_share("threshold", self.threshold, self.name)
        if self.criterion not in CRITERIA:
            raise TaskError(
                f"{self.name}: criterion={self.criterion!r}; allowed are {' and '.join(CRITERIA)}."
            )

    def settled(self, keys: Keys, rewards: Rewards) -> bool:
        """Tell whether the leading answer is probable enough."""
        return self._enough(counts_of(keys))

    def wait(self, keys: Keys) -> int:
        """Return how many further votes for the leading answer would settle the question.

        Every other way takes longer: what is not a vote for the leader makes it no more probable.
        """
        counts, more = counts_of(keys) or [0], 1
        while not self._enough([counts[0] + more, *counts[1:]]):
            more += 1
        return more

    def _enough(self, counts: list[int]) -> bool:
        if not counts or not counts[0]:
            return False
        second = counts[1] if len(counts) > 1 else 0
        # The best of all is never more probable than the better of two: the integral is spared.
        if leads_second(counts[0], second) < self.threshold:
            return False
        if self.criterion == "beta" or len(counts) < 3:
            return True
        return leads_all(tuple(counts)) >= self.threshold


@lru_cache(maxsize=1 << 16)
def leads_second(first: int, second: int) -> float:
    """Return P(p > 1/2) for p of the distribution Beta(first + 1, second + 1).

    That is the posterior probability, under a uniform prior, that an answer given `first` times is
    more probable than one given `second` times.
    """
    return float(special.betaincc(first + 1, second + 1, 0.5))


@lru_cache(maxsize=1 << 16)
def leads_all(counts: tuple[int, ...]) -> float:
    """Return P(p_1 > all others) for p of the distribution Dirichlet(counts + 1).

    Gamma variables of the shapes counts + 1, divided by their sum, have that distribution; so it
    is the mean over the first variable of the probability that each other one is smaller.

    Args:
        counts: how often each answer was given, the leading one first.
    """
    shapes = np.array(counts, dtype=float) + 1

    def all_smaller(quantile: float) -> float:
        first = special.gammaincinv(shapes[0], quantile)
        return float(np.prod(special.gammainc(shapes[1:], first)))

    value, _ = integrate.quad(all_smaller, 0, 1, epsabs=1e-10, epsrel=1e-10, limit=200)
    return float(value)

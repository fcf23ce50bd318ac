"""CGES, confidence-guided early stopping: the posterior of each answer from rewards."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from ..pools.pool import Candidate, Pool
from ..strategies.protocol import Strategy, is_number
from .protocol import Keys, Rewards, StoppingRule, check_share

_CLOSEST = 0.01  # to 0 and to 1: one sample alone never settles what all others deny


class MostProbable(Strategy):
    """The earliest candidate of the answer with the largest posterior, see `posterior`."""

    name = "cges"
    title = "CGES"
    needs = frozenset({"rewards"})

    def choose(self, pool: Pool) -> Candidate | None:
        """Return the winner, or None where no candidate has both an answer and a reward."""
        keys = pool.keys
        found = posterior(keys, [one.reward for one in pool.candidates])
        if not found:
            return None
        return pool.candidates[keys.index(max(found, key=found.__getitem__))]


@dataclass(frozen=True)
class CGES(StoppingRule):
    """Stop when one answer has enough of the posterior that confidences give; it is the answer.

    Attributes:
        threshold: posterior probability at which to stop.
    """

    name: ClassVar[str] = "cges"
    source: ClassVar[str] = "arXiv 2511.02603"
    strategy: ClassVar[Strategy] = MostProbable()
    needs: ClassVar[frozenset[str]] = frozenset({"rewards"})

    threshold: float = 0.95

    def __post_init__(self) -> None:
        """Check the parameter."""
        check_share("threshold", self.threshold, self.name)

    def settled(self, keys: Keys, rewards: Rewards) -> bool:
        """Tell whether an answer that was given is probable enough."""
        return max(posterior(keys, rewards).values(), default=0.0) >= self.threshold


def confidence(reward: float) -> float:
    """Return the confidence that a reward stands for, its logistic function within [0.01, 0.99].

    A LatentRM's reward is a sum of log-odds up to a constant of the question, so the confidences
    are not calibrated; the paper takes them from token probabilities or from a reward in [0, 1].
    """
    return min(1 - _CLOSEST, max(_CLOSEST, 0.5 * (1 + math.tanh(reward / 2))))


def posterior(keys: Keys, rewards: Rewards) -> Mapping[str, float]:
    """Return the posterior probability of each answer that was given.

    With K - 1 answers given and one place for those that were not, a sample with confidence c says
    its own answer with the likelihood c, and each other one with (1 - c) / (K - 1) (algorithm 1);
    all K are equally probable before. Samples without an answer or a reward say nothing.

    Args:
        keys: what each sample votes for; None for no vote.
        rewards: of each sample.

    Returns:
        Answer -> probability, in the order in which they were first given. What is lacking to 1 is
        that no answer given is right.
    """
    told = [
        (key, confidence(reward))
        for key, reward in zip(keys, rewards, strict=True)
        if key is not None and reward is not None and is_number(reward)
    ]
    others = len({key for key, _ in told})
    found: dict[str, float] = {}  # log-odds against an answer that nobody gave
    for key, sure in told:
        gain = math.log(sure) - math.log1p(-sure) + math.log(others)
        found[key] = found.get(key, 0.0) + gain
    top = max([0.0, *found.values()])
    weights = {key: math.exp(value - top) for key, value in found.items()}
    total = sum(weights.values()) + math.exp(-top)
    return {key: weight / total for key, weight in weights.items()}

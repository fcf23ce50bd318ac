"""Best-of-N (arXiv 2510.07745, section 4): the candidate that the reward model likes best."""

import math
from collections.abc import Sequence

from ..pools.estimators import check_ks
from ..pools.judged import JudgedPool
from ..pools.pool import Candidate, Pool
from .protocol import Strategy, is_number


class BestOfN(Strategy):
    """The candidate of the highest reward; of equal ones the earliest."""

    name = "best_of_n"
    title = "best of N"
    needs = frozenset({"rewards"})
    needs_answers = False

    def choose(self, pool: Pool) -> Candidate | None:
        """Return the winner, or None where every reward is NaN."""
        ranked = rank([candidate.reward for candidate in pool.candidates])
        return pool.candidates[ranked[0]] if ranked else None

    def at_k(self, judged: JudgedPool, ks: Sequence[int]) -> dict[int, float]:
        """Return the exact expectation over all subsets of k candidates, for each k."""
        return best_of_n_at_k(judged.rewards, right=judged.correct, ks=ks)


def rank(rewards: Sequence[float | None]) -> list[int]:
    """Return the indices of the rewards that are numbers, the highest first, ties in order."""
    scored = [i for i, reward in enumerate(rewards) if is_number(reward)]
    return sorted(scored, key=lambda i: -(rewards[i] or 0.0))


def best_of_n_at_k(
    rewards: Sequence[float | None], *, right: Sequence[bool], ks: Sequence[int]
) -> dict[int, float]:
    """Return the probability that the best of k random candidates is right, for every k.

    The expectation over all C(N, k) subsets is exact: the candidate of rank i wins in the
    C(N-1-i, k-1) subsets that hold none of a better rank.

    Args:
        rewards: the N candidates' rewards; None and NaN never win.
        right: whether each candidate's answer is right.
        ks: subset sizes.

    Returns:
        k -> probability; a subset without any reward counts as wrong.

    Raises:
        TaskError: not 1 <= k <= N for some k.
    """
    n = len(rewards)
    check_ks(ks, n=n)
    ranks = [i for i, index in enumerate(rank(rewards)) if right[index]]
    return {k: sum(math.comb(n - 1 - i, k - 1) for i in ranks) / math.comb(n, k) for k in ks}

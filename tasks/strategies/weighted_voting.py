"""A vote that the reward model weighs, and its expectation over subsets."""

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from ..pools.estimators import check_ks, subsets
from ..pools.judged import JudgedPool
from ..pools.pool import Candidate, Pool
from .protocol import Strategy, is_number

_CHUNK = 1 << 20  # numbers at a time where ties are broken
_TIE = 1e-12  # weights are sums of floats: their last bits depend on the order of summing


class WeightedVoting(Strategy):
    """The earliest candidate of the answer whose votes weigh most, see `vote_weights`."""

    name = "weighted_voting"
    title = "weighted vote"
    aliases = ("weighted",)
    needs = frozenset({"rewards"})

    def choose(self, pool: Pool) -> Candidate | None:
        """Return the winner, or None where no candidate has both an answer and a reward."""
        keys = pool.keys
        weights = vote_weights([candidate.reward for candidate in pool.candidates])
        winner = weighted_winner(keys, weights)
        return None if winner is None else pool.candidates[keys.index(winner)]

    def at_k(self, judged: JudgedPool, ks: Sequence[int]) -> dict[int, float]:
        """Return the expectation over subsets of k candidates, for each k."""
        return weighted_voting_at_k(judged.keys, judged.rewards, right=judged.right, ks=ks)


def vote_weights(rewards: Sequence[float | None]) -> NDArray[np.float64]:
    """Return what each candidate's vote weighs, f64[N]: exp(reward), the largest scaled to 1.

    A LatentRM's reward is a sum of log-odds up to a constant of the question (the contrastive
    loss, arXiv 2510.07745, section 4), so exp(reward) is in proportion to the chance that a
    candidate is the right one. No reward and NaN weigh nothing; whatever is scored weighs
    something, exp(-700) at least, so that it wins alone.
    """
    good = np.array([is_number(reward) for reward in rewards], dtype=bool)
    weights = np.zeros(len(good))
    if good.any():
        values = np.array([r for r, ok in zip(rewards, good, strict=True) if ok], dtype=float)
        weights[good] = np.exp(np.maximum(values - values.max(), -700.0))
    return weights


def weighted_winner(answers: Sequence[str | None], weights: NDArray[np.float64]) -> str | None:
    """Return the answer of the largest total weight; of tied ones the one that was given first.

    Args:
        answers: the N candidates' answers, equal where they vote together; None for no answer.
        weights: the candidates' weights, f64[N].

    Returns:
        The winner; None where no answer has any weight.
    """
    totals: dict[str, float] = {}
    for answer, weight in zip(answers, weights.tolist(), strict=True):
        if answer is not None and weight > 0:
            totals[answer] = totals.get(answer, 0.0) + weight
    least = max(totals.values(), default=0.0) * (1 - _TIE)
    return next((answer for answer, total in totals.items() if total >= least), None)


def weighted_voting_at_k(
    answers: Sequence[str | None],
    rewards: Sequence[float | None],
    *,
    right: Collection[str],
    ks: Sequence[int],
) -> dict[int, float]:
    """Return the probability that the weighted vote of k random candidates is right.

    A vote weighs exp(reward) (`vote_weights`). The mean runs over all C(N, k) subsets where these
    are at most `MAX_SUBSETS`, else over so many random ones, the same for every pool of N: an
    unbiased estimate whose further error, 0.5 / sqrt(MAX_SUBSETS) = 1.1% of one question at most,
    is far below that between questions.

    Args:
        answers: the N candidates' answers, equal where they vote together; None for no answer.
        rewards: their rewards.
        right: the answers that are right.
        ks: subset sizes.

    Returns:
        k -> probability; a subset in which nothing weighs counts as wrong.

    Raises:
        TaskError: not 1 <= k <= N for some k.
    """
    check_ks(ks, n=len(answers))
    weights = vote_weights(rewards)
    names = list(dict.fromkeys(answer for answer in answers if answer is not None))
    if not names or not set(right) & set(names) or not weights.any():
        return dict.fromkeys(ks, 0.0)
    votes = np.array([[answer == name for name in names] for answer in answers], dtype=float)
    good = np.array([name in right for name in names])
    return {k: float(_wins(votes, weights, good, subsets(len(answers), k)).mean()) for k in ks}


def _wins(
    votes: NDArray[np.float64],
    weights: NDArray[np.float64],
    good: NDArray[np.bool_],
    chosen: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """Return bool[S], whether a right answer wins in each subset.

    Args:
        votes: f64[N, A], 1 where a candidate gives an answer.
        weights: f64[N].
        good: bool[A], which answers are right.
        chosen: f64[S, N], 1 where a subset holds a candidate.
    """
    totals = chosen @ (votes * weights[:, None])
    tied = (totals > 0) & (totals >= totals.max(axis=1, keepdims=True) * (1 - _TIE))
    wins = (tied & good).any(axis=1)
    rows = np.flatnonzero(tied.sum(axis=1) > 1)
    if len(rows):
        # What weighs nothing cannot be the first vote.
        able = votes * (weights > 0)[:, None]
        size = max(1, _CHUNK // able.size)
        for part in np.split(rows, range(size, len(rows), size)):
            first = (chosen[part, :, None] * able).argmax(axis=1)
            wins[part] = good[np.where(tied[part], first, len(weights)).argmin(axis=1)]
    return wins

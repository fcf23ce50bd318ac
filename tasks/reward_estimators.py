"""Unbiased estimates of what a reward model picks among k <= N candidates, from one pool of N."""

import math
from collections.abc import Collection, Sequence
from functools import lru_cache
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from .estimators import check_ks

MAX_SUBSETS = 2048
"""Subsets of one size that weighted_voting@k looks at: all of them, or so many random ones."""

_CHUNK = 1 << 20  # numbers at a time where ties are broken
_TIE = 1e-12  # weights are sums of floats: their last bits depend on the order of summing


def scored(rewards: Sequence[float | None]) -> NDArray[np.bool_]:
    """Returns which candidates have a reward that is a number, bool[N]."""
    return np.array([r is not None and math.isfinite(r) for r in rewards], dtype=bool)


def best_of_n_at_k(
    rewards: Sequence[float | None], *, right: Sequence[bool], ks: Sequence[int]
) -> dict[int, float]:
    """Returns the probability that the best of k random candidates is right, for every k.

    Best-of-N (arXiv 2510.07745, section 4) takes the candidate of the highest reward; of equal
    ones the earliest. The expectation over all C(N, k) subsets is exact: the candidate of rank i
    is the best of C(N-1-i, k-1) of them.

    Args:
        rewards: The N candidates' rewards; None and NaN never win.
        right: Whether each candidate's answer is right.
        ks: Subset sizes.

    Returns:
        k -> probability; a subset without any reward counts as wrong.

    Raises:
        TaskError: Not 1 <= k <= N for some k.
    """
    n = len(rewards)
    check_ks(ks, n=n)
    places = [place for place, good in enumerate(scored(rewards)) if good]
    ranked = sorted(places, key=lambda place: -(rewards[place] or 0.0))  # stable: earliest first
    ranks = [rank for rank, place in enumerate(ranked) if right[place]]
    return {k: sum(math.comb(n - 1 - i, k - 1) for i in ranks) / math.comb(n, k) for k in ks}


def vote_weights(rewards: Sequence[float | None]) -> NDArray[np.float64]:
    """Returns what each candidate's vote weighs, f64[N]: exp(reward), the largest scaled to 1.

    A LatentRM's reward is a sum of log-odds up to a constant of the question (the contrastive
    loss, arXiv 2510.07745, section 4), so exp(reward) is in proportion to the chance that a
    candidate is the right one. No reward and NaN weigh nothing; whatever is scored weighs
    something, exp(-700) at least, so that it wins alone.
    """
    good = scored(rewards)
    weights = np.zeros(len(good))
    if good.any():
        values = np.array([r for r, ok in zip(rewards, good, strict=True) if ok], dtype=float)
        weights[good] = np.exp(np.maximum(values - values.max(), -700.0))
    return weights


def weighted_winner(answers: Sequence[str | None], weights: NDArray[np.float64]) -> str | None:
    """Returns the answer of the largest total weight; of tied ones the one that was given first.

    Args:
        answers: The N candidates' answers, equal where they vote together; None for no answer.
        weights: The candidates' weights, f64[N].

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
    """Returns the probability that the weighted vote of k random candidates is right.

    A vote weighs exp(reward) (`vote_weights`). The mean runs over all C(N, k) subsets where these
    are at most `MAX_SUBSETS`, else over so many random ones, the same for every pool of N: an
    unbiased estimate whose further error, 0.5 / sqrt(MAX_SUBSETS) = 1.1% of one question at most,
    is far below that between questions.

    Args:
        answers: The N candidates' answers, equal where they vote together; None for no answer.
        rewards: Their rewards.
        right: The answers that are right.
        ks: Subset sizes.

    Returns:
        k -> probability; a subset in which nothing weighs counts as wrong.

    Raises:
        TaskError: Not 1 <= k <= N for some k.
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
    """Returns bool[S], whether a right answer wins in each subset.

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


@lru_cache(maxsize=16)
def subsets(n: int, k: int) -> NDArray[np.float64]:
    """Returns subsets of size k of n candidates, f64[S, n]: all, or `MAX_SUBSETS` random ones."""
    if math.comb(n, k) <= MAX_SUBSETS:
        places = np.array(list(combinations(range(n), k)))
    else:
        draws = np.random.default_rng([n, k]).random((MAX_SUBSETS, n))
        places = np.argpartition(draws, k - 1, axis=1)[:, :k]
    chosen = np.zeros((len(places), n))
    np.put_along_axis(chosen, places, 1.0, axis=1)
    chosen.flags.writeable = False  # it is shared between calls
    return chosen

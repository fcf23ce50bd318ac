"""Plurality vote, and its exact expectation over subsets."""

import math
from collections import Counter
from collections.abc import Collection, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ..errors import TaskError
from ..pools.estimators import MAX_CANDIDATES, check_ks
from ..pools.judged import JudgedPool
from ..pools.pool import Candidate, Pool
from .protocol import Strategy

_Floats = NDArray[np.float64]
_Ints = NDArray[np.int64]


class Voting(Strategy):
    """The earliest candidate of the most frequent answer; of tied ones the one given first."""

    name = "voting"
    title = "vote"
    aliases = ("majority",)

    def choose(self, pool: Pool) -> Candidate | None:
        """Return the winner, or None where no candidate has an answer."""
        keys = pool.keys
        votes = Counter(key for key in keys if key is not None)
        if not votes:
            return None
        # A Counter iterates in order of first appearance and max keeps the first: the tie rule.
        return pool.candidates[keys.index(max(votes, key=votes.__getitem__))]

    def at_k(self, judged: JudgedPool, ks: Sequence[int]) -> dict[int, float]:
        """Return the exact expectation over all subsets of k candidates, for each k."""
        return voting_at_k(judged.keys, right=judged.right, ks=ks)


def voting_at_k(
    answers: Sequence[str | None], *, right: Collection[str], ks: Sequence[int]
) -> dict[int, float]:
    """Return the probability that the vote of k random candidates is right, for every k.

    The expectation over all C(N, k) subsets is exact, not sampled. A subset keeps the pool's
    order; its most frequent answer wins; None never votes; of tied answers the one given first
    wins. With k = N this is the plain vote, with k = 1 it is pass@1.

    Args:
        answers: the N candidates' answers, equal where they vote together; None for no answer.
        right: the answers that are right (with a tolerance there may be several).
        ks: subset sizes.

    Returns:
        k -> probability.

    Raises:
        TaskError: not 1 <= k <= N for some k, or more than `MAX_CANDIDATES` candidates.
    """
    n = len(answers)
    check_ks(ks, n=n)
    if n > MAX_CANDIDATES:
        raise TaskError(
            f"voting@k is computed for at most {MAX_CANDIDATES} candidates, but the pool has {n}. "
            "Sample fewer, or keep the first ones."
        )
    indices: dict[str, list[int]] = {}
    for index, answer in enumerate(answers):
        if answer is not None:
            indices.setdefault(answer, []).append(index)
    wins = np.zeros(max(ks, default=0) + 1)
    for answer in (given for given in indices if given in right):
        rivals = [np.array(own) for other, own in indices.items() if other != answer]
        silent = sum(a is None for a in answers)
        wins += _count_wins(np.array(indices[answer]), rivals=rivals, silent=silent, top=len(wins))
    # Rounding may carry a sure win past 1 by an ulp.
    return {k: min(1.0, float(wins[k]) / math.comb(n, k)) for k in ks}


def _count_wins(indices: _Ints, *, rivals: list[_Ints], silent: int, top: int) -> _Floats:
    """Count, for every size k < top, the subsets in which one answer wins the vote.

    The winning subsets are counted by j, the winner's votes, and by p, the index of its first
    vote. Of a rival with n_b votes in the pool, m_b of them after p, such a subset holds i < j
    (C(n_b, i) ways), or j that all come after p (C(m_b, j) ways); candidates that cannot reach j
    votes are free. So with x marking size, the subsets are counted by
    sum_j x^j sum_p C(own after p, j-1) (1+x)^free prod_b (sum_{i<j} C(n_b, i) x^i + C(m_b, j) x^j),
    where every term is positive: nothing cancels, and float64 is accurate.

    Args:
        indices: the winner's indices in the pool, ascending, i64[c].
        rivals: the indices of every other answer, ascending.
        silent: how many candidates have no answer.
        top: one more than the largest subset size.

    Returns:
        f64[top], at k the number of subsets of size k that the answer wins.
    """
    choose = _binomials(silent + len(indices) + sum(map(len, rivals)))
    rivals = sorted(rivals, key=len, reverse=True)
    sizes = [len(rival) for rival in rivals]
    later = [len(rival) - np.searchsorted(rival, indices) for rival in rivals]
    wins = np.zeros(top)
    for j in range(1, min(len(indices), top - 1) + 1):
        first = slice(0, len(indices) - j + 1)  # a later first vote leaves fewer than j
        own = choose[np.arange(len(indices) - 1, j - 2, -1), j - 1]
        poly = own[:, None]
        able = sum(size >= j for size in sizes)
        for size, after in zip(sizes[:able], later[:able], strict=True):
            factor = np.empty((len(own), j + 1))
            factor[:, :j] = choose[size, :j]
            factor[:, j] = choose[after[first], j]
            poly = _multiply(poly, factor, length=top - j)
        free = silent + sum(sizes[able:])
        summed = np.convolve(poly.sum(axis=0), choose[free, : free + 1])[: top - j]
        wins[j : j + len(summed)] += summed
    return wins


def _multiply(left: _Floats, right: _Floats, *, length: int) -> _Floats:
    """Multiply polynomials row by row, f64[P,A] × f64[P,B], keeping `length` coefficients."""
    if left.shape[1] < right.shape[1]:
        left, right = right, left
    width = min(length, left.shape[1] + right.shape[1] - 1)
    product = np.zeros((len(left), width))
    for shift in range(min(right.shape[1], width)):
        part = left[:, : width - shift]
        product[:, shift : shift + part.shape[1]] += part * right[:, shift : shift + 1]
    return product


@lru_cache(maxsize=4)
def _binomials(n: int) -> _Floats:
    """Return Pascal's triangle, f64[n+1,n+1], C(row, column)."""
    table = np.zeros((n + 1, n + 1))
    table[:, 0] = 1.0
    for row in range(1, n + 1):
        table[row, 1:] = table[row - 1, 1:] + table[row - 1, :-1]
    table.flags.writeable = False  # it is shared between calls
    return table

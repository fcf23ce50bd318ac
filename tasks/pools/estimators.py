"""Unbiased estimates, from one pool of N candidates, of what k <= N candidates achieve."""

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from ..errors import TaskError

MAX_CANDIDATES = 1024
"""The largest pool: the number of its subsets of one size still fits float64."""

MAX_SUBSETS = 2048
"""Subsets of one size where there is no formula: all of them, or so many random ones."""


def pass_at_k(*, n: int, c: int, k: int) -> float:
    """Return the probability that some of k random candidates are right.

    1 - C(n-c, k) / C(n, k) (arXiv 2510.07745, pass@k), computed in integers and rounded once.

    Args:
        n: candidates in the pool.
        c: right ones among them.
        k: candidates drawn, without replacement.

    Returns:
        A probability.

    Raises:
        TaskError: not 0 <= c <= n, or not 1 <= k <= n.
    """
    if not 0 <= c <= n:
        raise TaskError(f"c = {c} of n = {n} candidates cannot be right; 0 <= c <= n must hold.")
    check_ks([k], n=n)
    subsets = math.comb(n, k)
    return (subsets - math.comb(n - c, k)) / subsets


def coverage_at_n(*, n: int, c: int) -> float:
    """Return whether any candidate of the pool is right, which is pass@n.

    Args:
        n: candidates in the pool.
        c: right ones among them.

    Returns:
        0.0 or 1.0.

    Raises:
        TaskError: not 0 <= c <= n, or n < 1.
    """
    return pass_at_k(n=n, c=c, k=n)


@lru_cache(maxsize=16)
def subsets(n: int, k: int) -> NDArray[np.float64]:
    """Return subsets of size k of n candidates, f64[S, n]: all, or `MAX_SUBSETS` random ones."""
    if math.comb(n, k) <= MAX_SUBSETS:
        indices = np.array(list(combinations(range(n), k)))
    else:
        draws = np.random.default_rng([n, k]).random((MAX_SUBSETS, n))
        indices = np.argpartition(draws, k - 1, axis=1)[:, :k]
    chosen = np.zeros((len(indices), n))
    np.put_along_axis(chosen, indices, 1.0, axis=1)
    chosen.flags.writeable = False  # it is shared between calls
    return chosen


def check_ks(ks: Sequence[int], *, n: int) -> None:
    """Raise TaskError for a k that is not from 1 to n."""
    for k in ks:
        if not 1 <= k <= n:
            raise TaskError(
                f"k = {k} cannot be estimated from {n} candidates; 1 <= k <= {n} must hold. "
                "Sample more candidates (num_return_sequences) or ask for smaller ks."
            )

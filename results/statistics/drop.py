"""Whether an accuracy dropped further than another seed would explain."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .paired import pair

_FINEST = 1024  # parts of 1; differences between pools of up to 1024 candidates are exact


def drop_p_value(new: ArrayLike, old: ArrayLike) -> float:
    """Return how likely `new` is to lie this far below `old` by chance alone.

    The null hypothesis is that both come from the same model under two seeds. Then each question's
    difference is as likely as its negative, and the test is exact: the share of all sign flips
    whose mean is as low, which is the sign test where all differences but 0 are equally large.

    Shares of candidates are multiples of one fraction, so that the sums can be counted without
    sampling any. Other numbers are rounded to 1/1024 of the largest difference first; the
    test stays exact, for a rounded difference is as likely as its negative too.

    Args:
        new: one number a question.
        old: the same of the baseline, in the same order.

    Returns:
        One-sided p, as small as 2^-Q for Q questions that differ.

    Raises:
        ResultsError: see `paired_difference`.
    """
    first, second = pair(new, old)
    differences = first - second
    units = _as_multiples(differences[differences != 0])
    sizes = np.abs(units)
    # chances[s]: that the sizes which a flip makes negative have the sum s.
    chances = np.zeros(int(sizes.sum()) + 1)
    chances[0] = 1.0
    reached = 0
    for size in sizes[sizes > 0]:
        reached += size
        chances[size : reached + 1] += chances[: reached + 1 - size].copy()
        chances[: reached + 1] /= 2
    return float(min(1.0, chances[sizes[units < 0].sum() :].sum()))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p values for their number (Holm, 1979): below alpha, the whole family errs so rarely.

    Args:
        p_values: of the family's tests, dependent or not.

    Returns:
        The adjusted ones, in the same order.
    """
    order = np.argsort(p_values, kind="stable")
    factors = len(p_values) - np.arange(len(p_values))
    raised = np.maximum.accumulate(np.asarray(p_values, dtype=float)[order] * factors)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(raised, 1)
    return [float(p) for p in adjusted]


def _as_multiples(differences: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return differences, none of them 0, as multiples of the largest unit that fits them all."""
    if not len(differences):
        return np.zeros(0, dtype=np.int64)
    scaled = differences * (_FINEST / np.abs(differences).max())
    for parts in range(1, _FINEST + 1):
        if np.allclose(differences * parts, np.rint(differences * parts), rtol=0, atol=1e-9):
            scaled = differences * parts
            break
    units = np.rint(scaled).astype(np.int64)
    return units // np.gcd.reduce(units)

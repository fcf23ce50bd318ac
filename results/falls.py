"""Whether an accuracy fell further than another seed would explain."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from .paired import RESAMPLES, pair, sign_test


def fall_p_value(new: ArrayLike, old: ArrayLike, *, seed: int = 0) -> float:
    """Return how likely `new` is to lie this far below `old` by chance alone.

    The null hypothesis is that both come from the same model under two seeds. Then each question's
    difference is as likely as its negative, and the test is exact: the sign test where all
    differences but 0 are equally large, such as right against wrong, otherwise scipy's paired
    permutation test of the mean.

    Args:
        new: one number a question.
        old: the same of the baseline, in the same order.
        seed: of the permutations.

    Returns:
        One-sided p, at least 1e-4 where it is found by permutations.

    Raises:
        ResultsError: see `paired_difference`.
    """
    first, second = pair(new, old)
    differences = first - second
    differences = differences[differences != 0]
    if len(set(np.abs(differences))) <= 1:
        rose = int(np.sum(differences > 0))
        return sign_test(rose, len(differences) - rose, alternative="less")
    result = stats.permutation_test(
        (differences,),
        np.mean,
        permutation_type="samples",
        alternative="less",
        n_resamples=RESAMPLES,
        batch=1000,
        rng=np.random.default_rng(seed),
    )
    return float(result.pvalue)


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

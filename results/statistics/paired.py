"""Comparisons of two strategies or runs on the same questions.

Every function takes one number a question, as f64[Q] arrays in the same order; pairing by
question takes the questions' own difficulty out of a difference.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from ..errors import ResultsError

RESAMPLES = 9999

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class PairedDifference:
    """The mean over questions of a - b.

    Attributes:
        difference: the mean.
        stderr: its standard error over questions.
        low: lower end of the confidence interval.
        high: its upper end.
        questions: a count.
    """

    difference: float
    stderr: float
    low: float
    high: float
    questions: int


@dataclass(frozen=True)
class McNemar:
    """How two sets of right and wrong answers to the same questions disagree.

    Attributes:
        only_a: questions that only a has right.
        only_b: questions that only b has right.
        p: two-sided probability of a disagreement at least as lopsided, were both equally good.
    """

    only_a: int
    only_b: int
    p: float


def paired_difference(
    a: ArrayLike, b: ArrayLike, *, confidence: float = 0.95, seed: int = 0
) -> PairedDifference:
    """Estimate the mean difference a - b with a bootstrap interval over questions.

    The interval is scipy's percentile bootstrap of the differences. (BCa covers no better where
    few questions differ, and is undefined for some such data.) Where all differences are equal
    there is nothing to resample: both ends are the difference.

    Args:
        a: one number a question, f64[Q].
        b: the same of the other side, in the same order, f64[Q].
        confidence: of the interval.
        seed: of the bootstrap.

    Returns:
        The difference.

    Raises:
        ResultsError: fewer than two questions, unequal lengths, numbers that are not finite, or
            a confidence not between 0 and 1.
    """
    if not 0 < confidence < 1:
        raise ResultsError(f"confidence={confidence!r}; it must lie between 0 and 1, as 0.95 does.")
    first, second = pair(a, b)
    differences = first - second
    mean = float(differences.mean())
    if np.ptp(differences) == 0:
        return PairedDifference(mean, 0.0, mean, mean, len(differences))
    interval = stats.bootstrap(
        (differences,),
        np.mean,
        n_resamples=RESAMPLES,
        method="percentile",
        batch=1000,  # bounds the memory: 1000 rows of Q numbers at a time
        confidence_level=confidence,
        rng=np.random.default_rng(seed),
    ).confidence_interval
    stderr = float(stats.sem(differences))
    return PairedDifference(
        mean, stderr, float(interval.low), float(interval.high), len(differences)
    )


def mcnemar(a: ArrayLike, b: ArrayLike) -> McNemar:
    """Count the questions that only one side has right, with the exact binomial test.

    Args:
        a: 1 for right and 0 for wrong, one a question.
        b: the same of the other side, in the same order.

    Returns:
        The counts and p, which is 1 where the sides never disagree.

    Raises:
        ResultsError: a number is neither 0 nor 1, or see `paired_difference`.
    """
    first, second = pair(a, b)
    if not set(np.unique([first, second])) <= {0.0, 1.0}:
        raise ResultsError(
            "McNemar's test needs right (1) or wrong (0) for every question, but some lie between: "
            "take voting@N or the first answer, not an average over candidates."
        )
    only_a = int(np.sum(first > second))
    only_b = int(np.sum(first < second))
    p = stats.binomtest(only_a, only_a + only_b).pvalue if only_a + only_b else 1.0
    return McNemar(only_a, only_b, float(p))


def pair(a: ArrayLike, b: ArrayLike) -> tuple[Floats, Floats]:
    """Return both sides as f64[Q]; see `paired_difference` for what is refused."""
    first, second = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if first.ndim != 1 or first.shape != second.shape:
        raise ResultsError(
            f"Paired numbers must be one a question on both sides, but have the shapes "
            f"{first.shape} and {second.shape}."
        )
    if len(first) < 2:
        raise ResultsError(f"{len(first)} question; a comparison needs two or more.")
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise ResultsError("Some numbers are not finite; a metric must be known of every question.")
    return first, second

"""Comparisons of two strategies or runs on the same questions.

Every function takes one number a question, as f64[Q] arrays in the same order; pairing by
question takes the questions' own difficulty out of a difference.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from ..errors import ResultsError
from .score import quantile

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class PairedDifference:
    """The mean over questions of a - b.

    Attributes:
        difference: the mean.
        stderr: the differences' standard error over questions, 0 where all are equal.
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


def paired_difference(a: ArrayLike, b: ArrayLike, *, confidence: float = 0.95) -> PairedDifference:
    """Estimate the mean difference a - b with an interval that holds where few questions differ.

    The interval is that of Bonett and Price (2012, "Adjusted Wald confidence interval for a
    difference of binomial proportions based on paired data"): Wald's, after one question is added
    that a alone has right and one that b alone has. It is taken for numbers between right and
    wrong too, where the added questions stand for those of the largest difference that the
    questions at hand may lack by chance. Resampling knows nothing of these: a percentile bootstrap
    has no width where no question differs. So the interval is never empty, and wider than need be
    where differences are small but many. `tests/results/statistics/coverage_study.py` measures
    how often it holds.

    Args:
        a: one number a question, f64[Q]. The largest difference is 1, for shares, or the range of
            the numbers of both sides where that is wider, for counts.
        b: the same of the other side, in the same order, f64[Q].
        confidence: of the interval.

    Returns:
        The difference, which the interval holds whatever the confidence.

    Raises:
        ResultsError: fewer than two questions, unequal lengths, numbers that are not finite, or
            a confidence not between 0 and 1.
    """
    z = quantile(confidence)
    first, second = pair(a, b)
    differences = first - second
    mean, count = float(differences.mean()), len(differences)
    largest = max(1.0, float(np.ptp([first, second])))
    padded = np.append(differences, [largest, -largest])
    centre, half = float(padded.mean()), z * float(padded.std()) / math.sqrt(len(padded))
    return PairedDifference(
        difference=mean,
        stderr=float(differences.std(ddof=1)) / math.sqrt(count),
        low=min(mean, max(-largest, centre - half)),
        high=max(mean, min(largest, centre + half)),
        questions=count,
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

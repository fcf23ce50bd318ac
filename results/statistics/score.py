"""The interval of a score: of a mean over questions of numbers between 0 and 1."""

import math
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from ..errors import ResultsError


class Interval(NamedTuple):
    """The ends of a confidence interval."""

    low: float
    high: float


def score_interval(values: ArrayLike, *, confidence: float = 0.95) -> Interval:
    """Return the interval of a mean score, which has a width where the score is 0 or 1 too.

    It is Wilson's (1927). Between right and wrong, of means over candidates, it is the same: these
    vary less than right and wrong of the same mean, so that it is wider there than need be.

    Args:
        values: one number from 0 to 1 a question, f64[Q].
        confidence: of the interval.

    Returns:
        Both ends, from 0 to 1.

    Raises:
        ResultsError: no question, a number that is not from 0 to 1, or a confidence not between
            0 and 1.
    """
    scores = np.asarray(values, dtype=float)
    if scores.ndim != 1 or not len(scores) or not ((scores >= 0) & (scores <= 1)).all():
        raise ResultsError("A score needs a number from 0 to 1 for each of one question or more.")
    return mean_interval(float(scores.mean()), len(scores), confidence=confidence)


def mean_interval(mean: float, count: int, *, confidence: float = 0.95) -> Interval:
    """Return `score_interval` of numbers whose mean is known.

    Args:
        mean: from 0 to 1; both ends of any other are NaN.
        count: of questions, one or more.
        confidence: of the interval.
    """
    z = quantile(confidence)
    if not 0 <= mean <= 1:
        return Interval(math.nan, math.nan)
    centre = (mean * count + z * z / 2) / (count + z * z)
    half = z * math.sqrt(mean * (1 - mean) * count + z * z / 4) / (count + z * z)
    return Interval(max(0.0, centre - half), min(1.0, centre + half))


@cache
def quantile(confidence: float) -> float:
    """Return the normal quantile that a two-sided interval ends at, 1.96 for 0.95.

    Raises:
        ResultsError: a confidence not between 0 and 1.
    """
    if not 0 < confidence < 1:
        raise ResultsError(f"confidence={confidence!r}; it must lie between 0 and 1, as 0.95 does.")
    return float(stats.norm.ppf((1 + confidence) / 2))

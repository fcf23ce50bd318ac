"""How much runs differ that differ in their seed alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike

from ..errors import ResultsError
from .paired import pair


@dataclass(frozen=True)
class NoiseFloor:
    """What runs that differ in their seed alone differ by.

    Attributes:
        seeds: runs, a count.
        mean: over runs, of the mean over questions.
        spread: standard deviation of the runs' means, with `seeds` - 1 degrees of freedom.
        paired_spread: standard deviation of the difference between two runs' means, from each
            question's variance between runs; steadier than `spread`, for it has `seeds` - 1
            degrees of freedom a question.
    """

    seeds: int
    mean: float
    spread: float
    paired_spread: float


def noise_floor(runs: Sequence[ArrayLike]) -> NoiseFloor:
    """Measure what differs between runs that differ in their seed alone.

    Args:
        runs: for each seed one number a question, in the same order; f64[S,Q].

    Returns:
        The spread of the means, and of a paired difference.

    Raises:
        ResultsError: fewer than two runs, or see `paired_difference`.
    """
    if len(runs) < 2:
        raise ResultsError(f"{len(runs)} run; a noise floor needs two seeds or more.")
    for one, other in pairwise(runs):
        pair(one, other)
    table = np.asarray(runs, dtype=float)
    variances = table.var(axis=0, ddof=1)
    return NoiseFloor(
        seeds=len(table),
        mean=float(table.mean()),
        spread=float(table.mean(axis=1).std(ddof=1)),
        paired_spread=float(np.sqrt(2 * variances.sum()) / table.shape[1]),
    )

"""Paired differences of a task's rows, for any two that are ticked on the board."""

from collections.abc import Mapping
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ...statistics import paired_difference
from ..table import rounded
from .pages import Page

MOST_ROWS = 200
"""Rows of a task that are paired, the first of `board_rows`: 19,900 pairs, about 400 kB."""


def paired_rows(
    rows: pd.DataFrame, pages: Mapping[tuple[str, str], Page]
) -> dict[str, dict[str, object]]:
    """Return the paired differences of each task's comparable rows.

    Args:
        rows: of `board_rows`.
        pages: (run, task) -> what its log told.

    Returns:
        Task -> `rows`, by their index, and `pairs`: for every two of them, (0, 1), (0, 2), …, the
        mean of the earlier minus the later, the ends of its 95% interval, in per cent with one
        decimal, and where all are right or wrong how many questions only one of both has right.
        None where their runs did not ask the same questions.
    """
    found: dict[str, dict[str, object]] = {}
    for task, members in rows[rows["comparable"]].groupby("task", sort=False):
        keys: list[int] = []
        sides: list[tuple[str, NDArray[np.float64]]] = []
        for key, run, metric in zip(members.index, members["run"], members["metric"], strict=True):
            page = pages.get((run, str(task)), Page())
            if metric in page.scores and len(keys) < MOST_ROWS:
                keys.append(int(key))
                sides.append((page.questions, page.scores[metric]))
        pairs = [
            _difference(first, second) if one == other and len(first) > 1 else None
            for (one, first), (other, second) in combinations(sides, 2)
        ]
        found[str(task)] = {"rows": keys, "pairs": pairs}
    return found


def _difference(first: NDArray[np.float64], second: NDArray[np.float64]) -> list[float]:
    paired = paired_difference(first, second)
    parts = [float(rounded(100 * x, 1)) for x in (paired.difference, paired.low, paired.high)]
    if np.isin(first, (0, 1)).all() and np.isin(second, (0, 1)).all():
        parts += [int((first > second).sum()), int((first < second).sum())]
    return parts

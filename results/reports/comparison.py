"""What a comparison says: rows of paired metrics, a task's rows together."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ...tasks import NEUTRAL
from ..runs.align import Side
from ..runs.metrics import is_accuracy
from ..statistics import (
    Interval,
    McNemar,
    NoiseFloor,
    PairedDifference,
    mcnemar,
    paired_difference,
    score_interval,
)


@dataclass(frozen=True)
class Row:
    """One line of a paired table.

    Attributes:
        metric: on both sides; of two metrics both, with a minus between.
        a: mean over questions of the one side.
        a_stderr: its standard error over questions.
        a_interval: its confidence interval; None of counts, which have no largest value.
        b: mean of the other.
        b_stderr: its standard error.
        b_interval: its confidence interval.
        paired: their difference.
        mcnemar: where every question is right or wrong on both sides.
    """

    metric: str
    a: float
    a_stderr: float
    a_interval: Interval | None
    b: float
    b_stderr: float
    b_interval: Interval | None
    paired: PairedDifference
    mcnemar: McNemar | None


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What `compare` says of one task.

    Attributes:
        task: that was run.
        questions: that both sides were asked, a count.
        sides: the one or two that were given.
        metrics: of one side against the other; empty where there is one.
        strategies: of a side against each other and against the deterministic answer, by the
            side's name.
        deterministic: the side whose answers are deterministic, where there is one.
        noise: of a side with several seeds, by its name and the metric's.
        left_out: metrics that not all runs have, by the run that has them.
        confidence: of all intervals.
    """

    task: str
    questions: int
    sides: tuple[Side, ...]
    metrics: tuple[Row, ...]
    strategies: dict[str, tuple[Row, ...]]
    deterministic: Side | None
    noise: dict[str, dict[str, NoiseFloor]]
    left_out: dict[str, tuple[str, ...]]
    confidence: float


def make_row(metric: str, a: pd.Series, b: pd.Series, confidence: float) -> Row:
    """Return the row of two metrics, one number a question each, in the same order."""

    def interval(values: pd.Series) -> Interval | None:
        within = bool(values.between(0, 1).all()) and metric not in NEUTRAL
        return score_interval(values, confidence=confidence) if within else None

    binary = is_accuracy(metric) and set(np.unique([a, b])) <= {0.0, 1.0}
    return Row(
        metric=metric,
        a=float(a.mean()),
        a_stderr=float(a.sem()),
        a_interval=interval(a),
        b=float(b.mean()),
        b_stderr=float(b.sem()),
        b_interval=interval(b),
        paired=paired_difference(a, b, confidence=confidence),
        mcnemar=mcnemar(a, b) if binary else None,
    )

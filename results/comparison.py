"""Runs and strategies against each other on the same questions, as numbers."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from .judged import NOT_ACCURACY
from .paired import McNemar, NoiseFloor, PairedDifference, mcnemar, noise_floor, paired_difference
from .sides import Side

# Strategies that are compared within a run: (better if it works, what it is held against).
_STRATEGIES = (
    ("voting", "pass@1"),
    ("best_of_n", "voting"),
    ("weighted_voting", "voting"),
    ("weighted_voting", "best_of_n"),
    ("beam_search", "voting"),
    ("beam_search", "best_of_n"),
    ("coverage", "voting"),
)


@dataclass(frozen=True)
class Row:
    """One line of a paired table.

    Attributes:
        metric: on both sides; of two strategies both, with a minus between.
        a: mean over questions of the one side.
        a_stderr: its standard error over questions.
        b: mean of the other.
        b_stderr: its standard error.
        paired: their difference.
        mcnemar: where every question is right or wrong on both sides.
    """

    metric: str
    a: float
    a_stderr: float
    b: float
    b_stderr: float
    paired: PairedDifference
    mcnemar: McNemar | None


@dataclass(frozen=True)
class Comparison:
    """What `compare` says of one task.

    Attributes:
        task: that was run.
        questions: that both sides were asked, a count.
        sides: the one or two that were given.
        metrics: of one side against the other; empty where there is one.
        strategies: of a side against each other, by the side's name.
        noise: of a side with several seeds, by its name and the metric's.
        left_out: metrics that not all runs have, by the run that has them.
    """

    task: str
    questions: int
    sides: tuple[Side, ...]
    metrics: tuple[Row, ...]
    strategies: dict[str, tuple[Row, ...]]
    noise: dict[str, dict[str, NoiseFloor]]
    left_out: dict[str, tuple[str, ...]]


def compare_sides(sides: Sequence[Side], *, confidence: float = 0.95) -> Comparison:
    """Compare one or two sides that asked the same questions.

    Args:
        sides: of one task.
        confidence: of the intervals.

    Returns:
        Paired differences by metric and by strategy, and the noise between seeds.
    """
    tables = [side.means for side in sides]
    shared = [name for name in tables[0] if all(name in table for table in tables)]
    rows = []
    if len(sides) == 2:
        rows = [_row(name, tables[0][name], tables[1][name], confidence) for name in shared]
    floors = [*sides]
    if len(sides) == 2 and len({run.setup_but_seed for side in sides for run in side.runs}) == 1:
        both = sides[0].runs + sides[1].runs, sides[0].tables + sides[1].tables
        floors = [Side(f"{sides[0].name} and {sides[1].name}", *both)]
    return Comparison(
        task=sides[0].runs[0].task,
        questions=len(tables[0]),
        sides=tuple(sides),
        metrics=tuple(rows),
        strategies={
            side.name: tuple(
                _row(f"{one} − {other}", table[one], table[other], confidence)
                for one, other in _strategy_pairs(table)
            )
            for side, table in zip(sides, tables, strict=True)
        },
        noise={
            side.name: {
                name: noise_floor([table[name] for table in side.tables]) for name in side.means
            }
            for side in floors
            if len(side.tables) > 1
        },
        left_out={
            run.name: tuple(name for name in table if name not in shared)
            for side in sides
            for run, table in zip(side.runs, side.tables, strict=True)
            if set(table) - set(shared)
        },
    )


def _row(metric: str, a: pd.Series, b: pd.Series, confidence: float) -> Row:
    binary = metric not in NOT_ACCURACY and set(np.unique([a, b])) <= {0.0, 1.0}
    return Row(
        metric=metric,
        a=float(a.mean()),
        a_stderr=float(a.sem()),
        b=float(b.mean()),
        b_stderr=float(b.sem()),
        paired=paired_difference(a, b, confidence=confidence),
        mcnemar=mcnemar(a, b) if binary else None,
    )


def _strategy_pairs(table: pd.DataFrame) -> list[tuple[str, str]]:
    """Return the strategies that a table has in pairs, each with its largest k."""
    largest: dict[str, str] = {}
    for name in table:
        family, _, k = str(name).partition("@")
        if k and int(k) > int(largest.get(family, "@0").partition("@")[2]):
            largest[family] = str(name)
    named = {name: name for name in map(str, table)} | largest
    pairs = [(named.get(one), named.get(other)) for one, other in _STRATEGIES]
    return [(one, other) for one, other in pairs if one and other]

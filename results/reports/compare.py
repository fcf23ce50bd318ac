"""Runs and strategies against each other on the same questions."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from ...tasks import STRATEGIES
from ..runs.align import Side
from ..runs.metrics import is_accuracy, strategies_at_most
from ..statistics import (
    McNemar,
    NoiseFloor,
    PairedDifference,
    mcnemar,
    noise_floor,
    paired_difference,
)
from .table import DASH, plain, plus_minus


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


def as_text(comparison: Comparison) -> str:
    """Return a comparison as tables for a terminal."""
    lines = [f"{comparison.task}, {comparison.questions} questions"]
    lines += [
        f"  {mark}: {_describe(side)}" for mark, side in zip("AB", comparison.sides, strict=False)
    ]
    if comparison.metrics:
        lines += ["", _table(comparison.metrics, ("A", "B"))]
    for name, rows in comparison.strategies.items():
        if rows:
            lines += ["", f"Strategies in {name}:", _table(rows, ("first", "second"))]
    for name, floors in comparison.noise.items():
        table = pd.DataFrame([asdict(floor) for floor in floors.values()], index=list(floors))
        lines += ["", f"Noise between seeds of {name}:", plain(table)]
    for name, metrics in comparison.left_out.items():
        lines += ["", f"Not on all sides, but in {name}: {', '.join(metrics)}."]
    return "\n".join(lines)


def as_json(comparison: Comparison) -> dict[str, object]:
    """Return a comparison as plain JSON objects."""
    return {
        "task": comparison.task,
        "questions": comparison.questions,
        "sides": [
            {"name": side.name, "runs": [str(run.results) for run in side.runs]}
            for side in comparison.sides
        ],
        "metrics": [asdict(row) for row in comparison.metrics],
        "strategies": {
            name: [asdict(row) for row in rows] for name, rows in comparison.strategies.items()
        },
        "noise": {
            name: {metric: asdict(floor) for metric, floor in floors.items()}
            for name, floors in comparison.noise.items()
        },
        "left_out": comparison.left_out,
    }


def _row(metric: str, a: pd.Series, b: pd.Series, confidence: float) -> Row:
    binary = is_accuracy(metric) and set(np.unique([a, b])) <= {0.0, 1.0}
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
    """Return pairs of metrics, each of a strategy and of one that it should beat, at the largest k.

    A strategy should beat those before it in the table of strategies; a single sample is left to
    the first of them, which coverage is held against too: what could be chosen.
    """
    known = list(STRATEGIES)
    found = strategies_at_most(map(str, table))
    order = sorted(found, key=lambda name: known.index(name) if name in known else len(known))
    metrics = [found[name] for name in order]
    pairs = [(one, metrics[j]) for i, one in enumerate(metrics) for j in range(i > 1, i)]
    covered = [str(name) for name in table if str(name).startswith("coverage@")]
    return pairs + [(name, metrics[1]) for name in covered[-1:] if len(metrics) > 1]


def _describe(side: Side) -> str:
    """Return one line that tells what made a side's candidates."""
    config = side.runs[0].config
    seeds = ", ".join(str(run.config.seed) for run in side.runs)
    parts = [
        config.checkpoint,
        f"{config.sampler} {'' if config.strength is None else f'{config.strength:g}'}".strip(),
        f"N = {config.samples}",
        f"seed {seeds}",
    ]
    if config.reward_model:
        parts.append(f"reward model {config.reward_model}")
    return f"{side.name} ({'; '.join(parts)})"


def _table(rows: Sequence[Row], sides: tuple[str, str]) -> str:
    table = pd.DataFrame(
        {
            f"{sides[0]} ± stderr": plus_minus(row.a, row.a_stderr, percent=False),
            f"{sides[1]} ± stderr": plus_minus(row.b, row.b_stderr, percent=False),
            "difference": row.paired.difference,
            "low": row.paired.low,
            "high": row.paired.high,
            f"only {sides[0]}": str(row.mcnemar.only_a) if row.mcnemar else DASH,
            f"only {sides[1]}": str(row.mcnemar.only_b) if row.mcnemar else DASH,
            "McNemar p": f"{row.mcnemar.p:.2g}" if row.mcnemar else DASH,
        }
        for row in rows
    )
    table.index = pd.Index([row.metric for row in rows])
    return plain(table)

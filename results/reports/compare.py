"""Runs and strategies against each other on the same questions."""

from collections.abc import Iterator, Sequence

import pandas as pd

from ...tasks import NEUTRAL, STRATEGIES
from ..errors import ResultsError
from ..runs.align import CANDIDATE_0, Side
from ..runs.metrics import find_metric, strategies_at_most
from ..statistics import noise_floor
from .comparison import Comparison, Row, make_row


def compare_sides(
    sides: Sequence[Side], *, deterministic: Side | None = None, confidence: float = 0.95
) -> Comparison:
    """Compare one or two sides that asked the same questions.

    Args:
        sides: of one task.
        deterministic: a further side, whose deterministic answers the strategies of the others are
            held against; the one among `sides` if not given.
        confidence: of the intervals.

    Returns:
        Paired differences by metric and by strategy, and the noise between seeds.
    """
    tables = [side.means for side in sides]
    shared = [name for name in tables[0] if all(name in table for table in tables)]
    rows = []
    if len(sides) == 2:
        rows = [make_row(name, tables[0][name], tables[1][name], confidence) for name in shared]
    steady = deterministic or next((side for side in sides if side.deterministic), None)
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
            side.name: tuple(_strategies(side, steady, confidence))
            for side in sides
            if side is not steady
        },
        deterministic=steady,
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
        confidence=confidence,
    )


def compare_metrics(
    sides: Sequence[Side], a: str, b: str, *, confidence: float = 0.95
) -> Comparison:
    """Compare a metric of one side with any of the other, or two of the same side.

    Args:
        sides: one or two, of one task.
        a: the first side's metric or strategy, see `find_metric`.
        b: the last side's.
        confidence: of the interval.

    Returns:
        A comparison whose metrics are one row.

    Raises:
        ResultsError: a side has no such metric, or one is a count and the other a share.
    """
    names, columns = [], []
    for side, wanted in ((sides[0], a), (sides[-1], b)):
        table = side.means
        name = find_metric(wanted, list(map(str, table)), where=side.name)
        names.append(name)
        columns.append(table[name])
    if (names[0] in NEUTRAL) != (names[1] in NEUTRAL):
        raise ResultsError(
            f"{names[0]} − {names[1]} means nothing: one is a count and the other a share. Compare "
            "two counts or two shares."
        )
    return Comparison(
        task=sides[0].runs[0].task,
        questions=len(columns[0]),
        sides=tuple(sides),
        metrics=(make_row(f"{names[0]} − {names[1]}", columns[0], columns[1], confidence),),
        strategies={},
        deterministic=None,
        noise={},
        left_out={},
        confidence=confidence,
    )


def _strategies(side: Side, deterministic: Side | None, confidence: float) -> Iterator[Row]:
    """Yield a row for each pair of a side's strategies, and for each against the deterministic."""
    table = side.means
    for one, other in _strategy_pairs(table):
        yield make_row(f"{one} − {other}", table[one], table[other], confidence)
    if deterministic is not None:
        answer = deterministic.means[CANDIDATE_0]
        for metric in strategies_at_most(map(str, table)).values():
            yield make_row(f"{metric} − deterministic", table[metric], answer, confidence)


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

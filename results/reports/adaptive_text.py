"""Replays of stopping rules as tables for a terminal, and as JSON."""

from collections.abc import Sequence
from dataclasses import asdict

import pandas as pd

from .adaptive import Replayed
from .table import percent, plain, rounded


def as_text(found: Sequence[Replayed]) -> str:
    """Return the replays of one task as a table for a terminal, shares in per cent."""
    first = found[0]
    table = pd.DataFrame(
        {
            "samples": f"{rounded(one.samples, 2)} ± {rounded(one.samples_stderr, 2)}",
            "fewer": f"{rounded(one.saving, 2)}×",
            "stopped": percent(one.stopped),
            "accuracy": percent(one.accuracy),
            "difference": percent(one.paired.difference, signed=True),
            "low": rounded(100 * one.paired.low, 2, signed=True),
            "high": rounded(100 * one.paired.high, 2, signed=True),
        }
        for one in found
    )
    table.index = pd.Index([one.rule for one in found])
    how = "" if first.orders == 1 else f", mean over {first.orders} orders of the samples"
    return (
        f"{first.task}, {first.paired.questions} questions, at most {first.most} samples each"
        f"{how}\nfull vote: {percent(first.full)}\n{plain(table)}"
    )


def as_json(found: Sequence[Replayed]) -> list[dict[str, object]]:
    """Return replays as plain JSON objects."""
    rows = [asdict(one) for one in found]
    return [{name: value for name, value in row.items() if name != "questions"} for row in rows]

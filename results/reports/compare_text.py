"""A comparison as tables for a terminal, and as JSON."""

from collections.abc import Sequence
from dataclasses import asdict

import pandas as pd

from ..runs.align import Side
from ..statistics import Interval
from .comparison import Comparison, Row
from .table import DASH, plain, plus_minus, rounded

_NO_DETERMINISTIC = (
    "The deterministic answer is in none of these runs; name a run with latent_do_sample=false too "
    "to hold the strategies against it."
)


def as_text(comparison: Comparison) -> str:
    """Return a comparison as tables for a terminal."""
    lines = [f"{comparison.task}, {comparison.questions} questions"]
    lines += [
        f"  {mark}: {_describe(side)}" for mark, side in zip("AB", comparison.sides, strict=False)
    ]
    confidence, steady = comparison.confidence, comparison.deterministic
    if steady and steady not in comparison.sides:
        lines.append(f"  deterministic: {_describe(steady)}")
    if comparison.metrics:
        lines += ["", _table(comparison.metrics, ("A", "B"), confidence)]
    for name, rows in comparison.strategies.items():
        if rows:
            lines += ["", f"Strategies in {name}:", _table(rows, ("one", "other"), confidence)]
            if steady is None:
                lines.append(_NO_DETERMINISTIC)
    for name, floors in comparison.noise.items():
        table = pd.DataFrame([asdict(floor) for floor in floors.values()], index=list(floors))
        lines += ["", f"Noise between seeds of {name}:", plain(table)]
    for name, metrics in comparison.left_out.items():
        lines += ["", f"Not on all sides, but in {name}: {', '.join(metrics)}."]
    return "\n".join(lines)


def as_json(comparison: Comparison) -> dict[str, object]:
    """Return a comparison as plain JSON objects."""
    steady = comparison.deterministic
    return {
        "task": comparison.task,
        "questions": comparison.questions,
        "sides": [{"name": side.name, "runs": _files(side)} for side in comparison.sides],
        "confidence": comparison.confidence,
        "deterministic": steady and {"name": steady.name, "runs": _files(steady)},
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
    if config.stop:
        parts.append(f"stop {config.stop}")
    if config.reward_model:
        parts.append(f"reward model {config.reward_model}")
    return f"{side.name} ({'; '.join(parts)})"


def _files(side: Side) -> list[str]:
    return [str(run.results) for run in side.runs]


def _table(rows: Sequence[Row], sides: tuple[str, str], confidence: float) -> str:
    one, other = sides
    level = f"{100 * confidence:g}%"
    table = pd.DataFrame(
        {
            f"{one} ± stderr": plus_minus(row.a, row.a_stderr, in_percent=False),
            f"{one} {level}": _ends(row.a_interval),
            f"{other} ± stderr": plus_minus(row.b, row.b_stderr, in_percent=False),
            f"{other} {level}": _ends(row.b_interval),
            "difference": row.paired.difference,
            "low": row.paired.low,
            "high": row.paired.high,
            f"only {one}": str(row.mcnemar.only_a) if row.mcnemar else DASH,
            f"only {other}": str(row.mcnemar.only_b) if row.mcnemar else DASH,
            "McNemar p": f"{row.mcnemar.p:.2g}" if row.mcnemar else DASH,
        }
        for row in rows
    )
    table.index = pd.Index([row.metric for row in rows])
    return plain(table)


def _ends(interval: Interval | None) -> str:
    return DASH if interval is None else " to ".join(rounded(end, 4) for end in interval)

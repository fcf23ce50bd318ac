"""The board as one Markdown table: a row a run, beside deterministic and written answers."""

from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from ...tasks import STRATEGIES
from ..runs.align import judge
from ..runs.metrics import largest_k
from ..runs.record import Run
from .board.rows import board_rows
from .budget import candidate_cost
from .table import DASH, number, plus_minus

_FIRST, _VOTE, _EXPLICIT = "first", "voting", "explicit"
_SUMMED = 1e6  # operations are shown in millions


def board_table(runs: Sequence[Run]) -> str:
    """Return a row for each task and run, the best vote first, in per cent ± standard error.

    All numbers but the single sample's are of all candidates. Beside a run of several samples stand
    the deterministic answer of its checkpoint, and the vote of as many chains of the task's run of
    `explicit` as its operations pay: 2 x parameters x (thoughts + answer tokens) a candidate,
    without the prompt. A deterministic run has a row where no run samples its checkpoint.
    """
    rows = board_rows(runs)
    rows = rows[rows["full"]]
    by_name = {(run.name, run.task): run for run in runs}
    sampled = [run for run in runs if largest_k(run.metrics) > 1]
    steady = {_same(run): run for run in runs if run.config.deterministic}
    alone = steady.keys() - {_same(run) for run in sampled}
    written = {run.task: run for run in sampled if run.config.backbone == _EXPLICIT}
    heads = [one for one in STRATEGIES if one in set(rows["aggregation"]) and one != _FIRST]
    lines = _head([STRATEGIES[one].title for one in heads])
    parts = [
        (by_name[str(run), str(task)], part.set_index("aggregation"))
        for (run, task), part in rows.groupby(["run", "task"], sort=False)
    ]
    shown = [one for one in parts if one[0] in sampled or _same(one[0]) in alone]
    for run, part in sorted(shown, key=lambda one: (one[0].task, -_best(one[1]))):
        cells = [run.task.removeprefix("latent_tts_"), run.name, run.config.checkpoint]
        cells.append(_made(run, part))
        cells += [_estimate(steady.get(_same(run)), "pass@1"), _share(part, _FIRST)]
        cells += [_share(part, one) for one in heads]
        cells.append(_estimate(run, f"pass@{largest_k(run.metrics)}"))
        cells.append(_written(run, written))
        cells.append(number(_best_row(part)["flops"] / _SUMMED))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _head(strategies: Iterable[str]) -> list[str]:
    heads = [
        "task",
        "run",
        "model",
        "samples",
        "deterministic",
        "one sample",
        *strategies,
        "coverage",
    ]
    heads += ["vote of written chains, equal FLOPs", "MFLOPs"]
    return ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]


def _same(run: Run) -> tuple[object, ...]:
    """Return what a run shares with the deterministic one of the same model."""
    config = run.config
    return run.task, config.checkpoint, config.weights_sha256, config.prompt_format


def _made(run: Run, part: pd.DataFrame) -> str:
    if largest_k(run.metrics) == 1:
        return "1"
    row = _best_row(part)
    strength = "" if pd.isna(row["strength"]) else f" {row['strength']:g}"
    return f"{row['n']} x {row['sampler']}{strength}"


def _best_row(part: pd.DataFrame) -> pd.Series:
    return part.loc[_VOTE if _VOTE in part.index else _FIRST]


def _best(part: pd.DataFrame) -> float:
    return float(_best_row(part)["accuracy"])


def _share(part: pd.DataFrame, strategy: str) -> str:
    if strategy not in part.index:
        return DASH
    return plus_minus(*part.loc[strategy, ["accuracy", "accuracy_stderr"]])


def _estimate(run: Run | None, metric: str) -> str:
    found = None if run is None else run.metrics.get(metric)
    return DASH if found is None else plus_minus(*found)


def _written(run: Run, written: Mapping[str, Run]) -> str:
    """Return the vote of as many written chains as a run's operations pay, and their number."""
    other = written.get(run.task)
    if other is None or run.config.backbone == _EXPLICIT:
        return DASH
    spent = largest_k(run.metrics) * candidate_cost(run)
    # Against the rounding of a quotient that is a whole number.
    k = min(largest_k(other.metrics), int(spent / candidate_cost(other) * (1 + 1e-9)))
    if k < 1:
        return DASH
    votes = judge(other, ks=[k]).metrics[f"voting@{k}"]
    return f"{plus_minus(votes.mean(), votes.sem())} ({k})"

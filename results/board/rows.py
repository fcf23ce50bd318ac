"""The leaderboard's rows: one for each run, task, aggregation and number of samples."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

import pandas as pd

from ..run import Estimate, Run

_AT_K = re.compile(r"(?P<family>.+)@(?P<k>\d+)")
_NOT_AGGREGATED = {"pass", "coverage"}
_AGGREGATIONS = {"voting": "majority"}  # the others are called as their metric is

COLUMNS = (
    "run",
    "task",
    "backbone",
    "checkpoint",
    "sampler",
    "strength",
    "reward_model",
    "seed",
    "n",
    "aggregation",
    "accuracy",
    "accuracy_stderr",
    "coverage",
    "coverage_stderr",
    "questions",
    "thoughts",
    "answer_tokens",
    "tokens",
    "flops",
    "samples_per_second",
    "unparsed",
    "truncated",
    "parameters",
    "date",
    "full",
)
"""Of `board_rows`. `tokens` is n × (thoughts + answer tokens) a question; `flops`, 2 × parameters ×
tokens, counts the forward passes of these positions, the prompt's not among them. `full` marks the
rows that use every candidate of their run."""


def board_rows(runs: Iterable[Run]) -> pd.DataFrame:
    """Return a row for each aggregation and k of each run.

    `first` is the mean accuracy of a single candidate, pass@1. Every other aggregation has a row
    for each k that was reported; where a run drew one candidate there is nothing to aggregate.
    Shares are from 0 to 1; an unknown number is NaN, an unknown text None.

    Args:
        runs: of `collect`.

    Returns:
        The rows with `COLUMNS`, best accuracy with all candidates first within each task.
    """
    rows = pd.DataFrame([row for run in runs for row in _rows_of(run)], columns=list(COLUMNS))
    order = ["task", "full", "accuracy", "run", "aggregation", "n"]
    ascending = [True, False, False, True, True, False]
    return rows.sort_values(order, ascending=ascending, kind="stable", ignore_index=True)


def full_strategies(run: Run) -> dict[str, str]:
    """Return aggregation -> metric of what used all candidates of a run.

    Args:
        run: any.

    Returns:
        At least `first` where the run drew a single candidate, which nothing aggregates.
    """
    largest = _largest(run)
    found = {}
    for name in run.metrics:
        aggregation, k = _strategy(name, run, largest=largest)
        if aggregation is not None and k == largest:
            found[aggregation] = name
    return found


def _rows_of(run: Run) -> Iterator[dict[str, Any]]:
    largest = _largest(run)
    shared = _shared(run)
    each = shared["thoughts"] + shared["answer_tokens"]
    for name, accuracy in run.metrics.items():
        aggregation, k = _strategy(name, run, largest=largest)
        if aggregation is None:
            continue
        coverage = run.metrics.get(f"pass@{k}", Estimate(float("nan"), None))
        # What beams cost is not what the pool's own candidates cost.
        tokens = k * each if _AT_K.fullmatch(name) else float("nan")
        yield {
            **shared,
            "n": k,
            "aggregation": aggregation,
            "accuracy": accuracy.value,
            "accuracy_stderr": _number(accuracy.stderr),
            "coverage": coverage.value,
            "coverage_stderr": _number(coverage.stderr),
            "tokens": tokens,
            "flops": 2 * _number(run.config.parameters) * tokens,
            "full": k == (1 if aggregation == "first" else largest),
        }


def _largest(run: Run) -> int:
    """Return the largest k that a metric of the run speaks of."""
    return max([1, *(int(m["k"]) for name in run.metrics if (m := _AT_K.fullmatch(name)))])


def _strategy(name: str, run: Run, *, largest: int) -> tuple[str | None, int]:
    """Return the aggregation that a metric judges and its k; None where it judges none."""
    match = _AT_K.fullmatch(name)
    if match is None:  # a scalar: beam search, or a share such as `unparsed`
        judges = largest > 1 and run.higher_is_better.get(name, False)
        return (name if judges else None), largest
    family, k = match["family"], int(match["k"])
    if family in _NOT_AGGREGATED:
        return ("first" if family == "pass" and k == 1 else None), k
    return (_AGGREGATIONS.get(family, family) if largest > 1 else None), k


def _shared(run: Run) -> dict[str, Any]:
    """Return what all rows of a run have in common."""
    config, metrics = run.config, run.metrics
    return {
        "run": run.name,
        "task": run.task,
        "backbone": config.backbone,
        "checkpoint": config.checkpoint,
        "sampler": config.sampler,
        "strength": _number(config.strength),
        "reward_model": config.reward_model,
        "seed": config.seed,
        "questions": run.questions,
        "thoughts": _number(run.thoughts),
        "answer_tokens": _number(run.answer_tokens),
        "samples_per_second": _number(run.throughput),
        "unparsed": metrics["unparsed"].value if "unparsed" in metrics else float("nan"),
        "truncated": metrics["truncated"].value if "truncated" in metrics else float("nan"),
        "parameters": _number(config.parameters),
        "date": run.date,
    }


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)

"""The leaderboard's rows: one for each run, task, aggregation and number of samples."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

import pandas as pd

from ..run import Estimate, Run
from .cautions import unlike_questions

_AT_K = re.compile(r"(?P<family>.+)@(?P<k>\d+)")
_NOT_AGGREGATED = {"pass", "coverage"}
_UNKNOWN = Estimate(float("nan"), None)
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
    "comparable",
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
"""Of `board_rows`. `tokens` is n × (thoughts + answer tokens) a question; of beam search, whose n
is beams × candidates of each, n × thoughts + beams × answer tokens, both as long as the pool's.
`flops`, 2 × parameters × tokens, counts the forward passes of these positions, the prompt's not
among them. `full` marks the rows that use every candidate of their run; `comparable` those whose
questions are the same as other runs' of the task."""


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
    runs = list(runs)
    unlike = unlike_questions(runs)
    found = [
        {**row, "comparable": (run.name, run.task) not in unlike}
        for run in runs
        for row in rows_of(run)
    ]
    rows = pd.DataFrame(found, columns=list(COLUMNS))
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


def rows_of(run: Run) -> Iterator[dict[str, Any]]:
    """Yield a run's rows, without `comparable`, which depends on the other runs.

    Args:
        run: any.

    Yields:
        A row for each aggregation and k.
    """
    largest = _largest(run)
    shared = _shared(run)
    each = shared["thoughts"] + shared["answer_tokens"]
    for name, accuracy in run.metrics.items():
        aggregation, k = _strategy(name, run, largest=largest)
        if aggregation is None:
            continue
        n, tokens, coverage = k, k * each, run.metrics.get(f"pass@{k}", _UNKNOWN)
        if not _AT_K.fullmatch(name):  # it did not choose among the pool's candidates
            coverage = _UNKNOWN
            n, tokens = _beams(run, shared) if name == "beam_search" else (k, float("nan"))
        yield {
            **shared,
            "n": n,
            "aggregation": aggregation,
            "accuracy": accuracy.value,
            "accuracy_stderr": _number(accuracy.stderr),
            "coverage": coverage.value,
            "coverage_stderr": _number(coverage.stderr),
            "tokens": tokens,
            "flops": 2 * _number(run.config.parameters) * tokens,
            "full": k == (1 if aggregation == "first" else largest),
        }


def _beams(run: Run, shared: dict[str, Any]) -> tuple[int, float]:
    """Return how many candidates' thoughts beam search spent, and its tokens a question."""
    beams, each = (run.config.settings.get(key) for key in ("num_beams", "num_beam_candidates"))
    if beams and each:
        n = int(beams) * int(each)
        return n, n * shared["thoughts"] + int(beams) * shared["answer_tokens"]
    n = _largest(run)
    return n, n * (shared["thoughts"] + shared["answer_tokens"])


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

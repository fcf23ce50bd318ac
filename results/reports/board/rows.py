"""The leaderboard's rows: one for each run, task, aggregation and number of samples."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import pandas as pd

from ....tasks import STRATEGIES
from ...runs.metrics import judged_by, largest_k
from ...runs.record import Estimate, Run
from ..table import rounded
from .cautions import unlike_questions

_UNKNOWN = Estimate(float("nan"), None)


def board_rows(runs: Iterable[Run]) -> pd.DataFrame:
    """Return a row for each aggregation and k of each run.

    `first` is the mean accuracy of a single candidate, pass@1. Every other aggregation has a row
    for each k that was reported; where a run has one candidate there is nothing to aggregate.
    Shares are from 0 to 1; an unknown number is NaN, an unknown text None.

    Args:
        runs: of `collect`.

    Returns:
        The rows, best accuracy with all candidates first within each task, and what is not
        comparable after what is. `tokens` is n ×
        (thoughts + answer tokens) a question; of beam search, whose n is beams × candidates of
        each, n × thoughts + beams × answer tokens, both as long as the pool's. `flops`, 2 ×
        parameters × tokens, counts the forward passes of these positions, without the prompt's.
        `full` marks the rows that use every candidate of their run; `comparable` those whose
        questions are the same as other runs' of the task; `asked` says how many were asked, and of
        how many where --limit left some out. `metric` is lm-eval's name of the accuracy.
    """
    runs = list(runs)
    unlike = unlike_questions(runs)
    rows = pd.DataFrame(
        row for run in runs for row in _rows(run, comparable=(run.name, run.task) not in unlike)
    )
    order = ["task", "comparable", "full", "accuracy", "run", "aggregation", "n"]
    ascending = [True, False, False, False, True, True, False]
    return rows.sort_values(order, ascending=ascending, kind="stable", ignore_index=True)


def asked(run: Run) -> str:
    """Return how many questions a run was asked, `20 of 1319` where there are more."""
    return f"{run.questions} of {run.task_questions}" if run.limited else str(run.questions)


def full_strategies(run: Run) -> dict[str, str]:
    """Return aggregation -> metric of what used all candidates; `first` where that is one."""
    largest = largest_k(run.metrics)
    found = ((name, _judged(name, run, largest=largest)) for name in run.metrics)
    return {by.strategy: name for name, by in found if by is not None and by.k == largest}


def _rows(run: Run, *, comparable: bool) -> Iterator[dict[str, object]]:
    """Yield a row for each aggregation and k."""
    config, largest = run.config, largest_k(run.metrics)
    thoughts, answer = _number(run.mean("thoughts")), _number(run.mean("answer_tokens"))
    for name, accuracy in run.metrics.items():
        judged = _judged(name, run, largest=largest)
        if judged is None:
            continue
        n, coverage = judged.k, run.metrics.get(f"pass@{judged.k}", _UNKNOWN)
        tokens = n * (thoughts + answer)
        if config.stop and n == largest:  # a question spent fewer, and how many tokens is not known
            tokens = float("nan")
        if "@" not in name:  # it did not choose among the pool's candidates
            coverage, tokens = _UNKNOWN, float("nan")
            if judged.searches:
                beams, each = _beams(run)
                n = beams * each if each else largest
                tokens = n * thoughts + (beams if each else n) * answer
        yield {
            "run": run.name,
            "task": run.task,
            "backbone": config.backbone,
            "checkpoint": config.checkpoint,
            "sampler": sampler_label(run),
            "strength": _number(config.strength),
            "reward_model": config.reward_model,
            "seed": config.seed,
            "n": n,
            "aggregation": judged.strategy,
            "accuracy": accuracy.value,
            "accuracy_stderr": _number(accuracy.stderr),
            "coverage": coverage.value,
            "coverage_stderr": _number(coverage.stderr),
            "questions": run.questions,
            "comparable": comparable,
            "thoughts": thoughts,
            "answer_tokens": answer,
            "tokens": tokens,
            "flops": 2 * _number(config.parameters) * tokens,
            "samples_per_second": _number(run.throughput),
            "unparsed": _number(run.mean("unparsed")),
            "truncated": _number(run.mean("truncated")),
            "parameters": _number(config.parameters),
            "date": run.date,
            "full": judged.k == largest or judged.single,
            "asked": asked(run),
            "metric": name,
        }


def sampler_label(run: Run) -> str:
    """Return the sampler and, where sampling stopped early, by what and after how many samples."""
    if run.config.stop is None:
        return run.config.sampler
    spent = run.mean("samples")
    mean = "" if spent is None else f", {rounded(spent, 1)} samples a question"
    return f"{run.config.sampler} (stop {run.config.stop}{mean})"


class _Judged(NamedTuple):
    """What a metric judges, as the board sees it.

    Attributes:
        strategy: its name.
        k: candidates that it chose from, all where the metric has no k.
        single: whether it is a single sample's accuracy, which no N changes.
        searches: whether it spent a beam search beside the candidates.
    """

    strategy: str
    k: int
    single: bool = False
    searches: bool = False


def _judged(metric: str, run: Run, *, largest: int) -> _Judged | None:
    """Return the aggregation that a metric judges, None where it judges none.

    A single candidate is not aggregated. Whatever has no k and is better the higher it is, is taken
    for a strategy, whether that is installed or not.
    """
    found = judged_by(metric)
    if found is None:
        judges = "@" not in metric and largest > 1 and run.higher_is_better.get(metric, False)
        return _Judged(metric, largest) if judges else None
    if found.k is None:
        strategy = STRATEGIES[found.strategy]
        searches = "beams" in strategy.needs
        return _Judged(found.strategy, largest, searches=searches) if largest > 1 else None
    if not found.has_k:
        return _Judged(found.strategy, found.k, single=True)
    return _Judged(found.strategy, found.k) if largest > 1 else None


def _beams(run: Run) -> tuple[int, int]:
    """Return beam search's beams and the candidates of each, 0 where they are not known."""
    beams, each = (run.config.settings.get(key) for key in ("num_beams", "num_beam_candidates"))
    if isinstance(beams, int) and isinstance(each, int) and beams and each:
        return beams, each
    return 0, 0


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)

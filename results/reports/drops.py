"""Which accuracies of runs dropped beyond chance, and which answers changed."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from ...tasks import read_number
from ..errors import ResultsError
from ..runs.align import QuestionTable
from ..runs.metrics import is_accuracy, judged_by, strategies_at_most
from ..statistics import drop_p_value, holm


@dataclass(frozen=True)
class Drop:
    """Whether one metric of one run dropped beyond chance.

    Attributes:
        run: task and settings, for the report.
        metric: the metric that was tested.
        new: its mean over questions now.
        old: the baseline's.
        stderr: standard error of new - old over questions, paired.
        p: one-sided, adjusted for all tests of the check (Holm).
        failed: whether p is at most alpha.
    """

    run: str
    metric: str
    new: float
    old: float
    stderr: float
    p: float
    failed: bool


def gated_metrics(new: pd.DataFrame, old: pd.DataFrame) -> list[str]:
    """Return the accuracies that a check tests, of those that both sides have.

    They are every strategy's with the most candidates that both have. Every further test would cost
    the others power, so coverage, which says what could be chosen, and smaller k are left to
    `latent-tts compare`.
    """
    shared = [str(name) for name in old if name in new and is_accuracy(str(name))]
    metrics = strategies_at_most(shared).values()
    judged = [(metric, judged_by(metric)) for metric in metrics]
    chosen = [metric for metric, by in judged if by and not by.has_k]
    for metric, by in judged:
        # One vote is no other strategy than a single sample.
        if by and by.has_k and ((by.k or 0) > 1 or not chosen):
            chosen.append(metric)
    return chosen


def find_drops(
    pairs: Mapping[str, tuple[pd.DataFrame, pd.DataFrame]], *, alpha: float
) -> list[Drop]:
    """Test whether accuracies dropped, so that all tests together rarely cry wolf.

    A new seed makes each question's difference as likely as its negative, which the one-sided
    paired test takes as its null hypothesis. Holm's adjustment over all metrics of all runs keeps
    the chance that an unchanged model fails at alpha or less.

    Args:
        pairs: run -> its table now and the baseline's, a row a question, a column a metric.
        alpha: the false-alarm rate that is allowed.

    Returns:
        A finding for each metric of each run.

    Raises:
        ResultsError: alpha is not between 0 and 1, or a pair has fewer than two questions or no
            accuracy in common.
    """
    if not 0 < alpha < 1:
        raise ResultsError(f"alpha={alpha!r}; it must lie between 0 and 1, as 0.01 does.")
    tests = [
        (run, metric, new[metric], old[metric])
        for run, (new, old) in pairs.items()
        for metric in gated_metrics(new, old)
    ]
    untested = pairs.keys() - {run for run, *_ in tests}
    if untested:
        raise ResultsError(
            f"{', '.join(sorted(untested))}: no accuracy such as pass@1 is known of both sides, so "
            "nothing can be tested. Run again."
        )
    p_values = holm([drop_p_value(new, old) for _, _, new, old in tests])
    return [
        Drop(
            run=run,
            metric=metric,
            new=float(new.mean()),
            old=float(old.mean()),
            stderr=float((new - old).sem()),
            p=p,
            failed=p <= alpha,
        )
        for (run, metric, new, old), p in zip(tests, p_values, strict=True)
    ]


def changed_answers(
    new: QuestionTable, old: QuestionTable
) -> list[tuple[str, str | None, str | None]]:
    """Return the questions whose first answers differ, with the answer now and the baseline's.

    Candidates of a deterministic run are all the same: the first is the answer. Equal numbers are
    one answer, however they are written.
    """
    now = {one.id: answer for one, answer in zip(new.questions, new.answers, strict=True)}
    return [
        (question.id, now[question.id], before)
        for question, before in zip(old.questions, old.answers, strict=True)
        if _value(now[question.id]) != _value(before)
    ]


def _value(answer: str | None) -> str | None:
    return read_number(answer) or (answer or "").strip() or None

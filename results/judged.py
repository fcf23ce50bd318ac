"""Runs question by question, and whether two asked the same."""

from collections.abc import Sequence

import pandas as pd

from ..tasks import (
    LOWER_IS_BETTER,
    NEUTRAL,
    Pool,
    Question,
    canonical,
    is_correct,
    pool_metrics,
    read_tolerance,
)
from .errors import ResultsError
from .run import Run
from .samples import QuestionMetrics, read_metrics, read_samples

FIRST = "first"
"""Whether the first candidate is right: a run of N = 1 inside every run."""

NOT_ACCURACY = NEUTRAL | LOWER_IS_BETTER
"""All other metrics say how many questions were answered right."""


def judge(run: Run, *, ks: Sequence[int] = ()) -> QuestionMetrics:
    """Return a run's metrics of every question: those that were logged, `first` and further ks.

    Args:
        run: whose log is read.
        ks: sample counts beside those that were logged.

    Returns:
        The metrics.

    Raises:
        ResultsError: the log cannot be used, or a k is larger than a pool.
    """
    logged = read_metrics(run.samples)
    samples = read_samples(run.samples, name=run.name)
    _check_ks(ks, samples.pools, samples.questions, name=run.name)
    tolerance = read_tolerance(run.tolerance)
    rows = []
    for pool, gold in zip(samples.pools, samples.golds, strict=True):
        right = is_correct(pool.candidates[0].answer, gold, tolerance=tolerance)
        more = pool_metrics(pool, gold, ks=ks, tolerance=tolerance) if ks else {}
        rows.append({FIRST: float(right)} | more)
    extra = pd.DataFrame(rows, index=logged.table.index).dropna(axis=1)
    new = [name for name in extra if name not in logged.table]
    return QuestionMetrics(logged.questions, logged.table.join(extra[new]))


def same_questions(
    first: Sequence[Question], second: Sequence[Question], *, names: tuple[str, str]
) -> None:
    """Refuse to pair runs that did not ask the same questions, in whatever order.

    A text is compared where both sides have one: an imported pool may have none.

    Raises:
        ResultsError: says how many questions differ, and how.
    """
    ours = {question.id: question for question in first}
    theirs = {question.id: question for question in second}
    shared = ours.keys() & theirs.keys()
    changed = sorted(key for key in shared if not _equal(ours[key], theirs[key]))
    only_ours, only_theirs = len(ours) - len(shared), len(theirs) - len(shared)
    if only_ours or only_theirs or changed:
        example = f" (such as {changed[0]!r})" if changed else ""
        raise ResultsError(
            f"{names[0]} and {names[1]} cannot be paired, {len(shared) - len(changed)} questions "
            f"are the same: {only_ours} are only in {names[0]}, {only_theirs} only in {names[1]}, "
            f"{len(changed)} have another text or gold answer{example}. Compare runs with the same "
            "data and --limit."
        )


def _equal(one: Question, other: Question) -> bool:
    texts_agree = one.text == other.text or not one.text or not other.text
    return texts_agree and _number(one.gold) == _number(other.gold)


def _number(gold: str) -> str:
    # "24" and "24.0" are one answer.
    return canonical(gold) or gold


def _check_ks(
    ks: Sequence[int], pools: Sequence[Pool], questions: Sequence[Question], *, name: str
) -> None:
    for k in ks:
        if k < 1:
            raise ResultsError(f"k = {k}; it must be a whole number of at least 1.")
        for pool, question in zip(pools, questions, strict=True):
            if k > len(pool.candidates):
                raise ResultsError(
                    f"k = {k} is larger than the pool of question {question.id!r} in {name}, which "
                    f"has {len(pool.candidates)} candidates. Ask for a smaller k, or sample more."
                )

"""Runs question by question: which asked the same, and what they scored."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce

import pandas as pd

from ...tasks import Pool, Question, canonical, is_correct, pool_metrics, read_tolerance
from ..errors import ResultsError
from .log import read_log
from .record import Run

FIRST = "first"
"""Whether the first candidate is right: a run of N = 1 inside every run."""


@dataclass(frozen=True)
class QuestionTable:
    """What is known of each question of a run.

    Attributes:
        questions: in the order of the log.
        metrics: a row a question, a column a metric that every question has; ids as index.
        answers: of the first candidates.
    """

    questions: tuple[Question, ...]
    metrics: pd.DataFrame
    answers: tuple[str | None, ...]


@dataclass(frozen=True)
class Side:
    """One side of a comparison: a task's runs that differ in their seed at most.

    Attributes:
        name: of the first run.
        runs: one a seed.
        tables: for each run, a row a question and a column a metric; the same questions in the
            same order on all.
    """

    name: str
    runs: tuple[Run, ...]
    tables: tuple[pd.DataFrame, ...]

    @property
    def means(self) -> pd.DataFrame:
        """For each question the mean over seeds, of the metrics that all runs have."""
        total = reduce(lambda one, other: one.add(other).dropna(axis=1), self.tables)
        order = [name for name in self.tables[0] if name in total]
        return total[order] / len(self.tables)


def judge(run: Run, *, ks: Sequence[int] = ()) -> QuestionTable:
    """Return a run's metrics of every question: those that were logged, `first` and further ks.

    Raises:
        ResultsError: the log cannot be used, or a k is larger than a pool.
    """
    tolerance = read_tolerance(run.tolerance)
    questions, answers, rows = [], [], []
    for logged in read_log(run, tuple(run.metrics)):
        question = logged.question
        pool, more = logged.pool(), {}
        if ks:
            _check_ks(ks, pool, question, name=run.name)
            more = pool_metrics(pool, question.gold, ks=ks, tolerance=tolerance)
        answer = pool.candidates[0].answer
        right = is_correct(answer, question.gold, tolerance=tolerance)
        rows.append(more | {FIRST: float(right)} | logged.metrics)
        questions.append(question)
        answers.append(answer)
    index = pd.Index([question.id for question in questions], name="question")
    table = pd.DataFrame(rows, index=index).dropna(axis=1)
    order = [name for name in run.metrics if name in table]
    order += [name for name in (FIRST, *table) if name not in run.metrics]
    return QuestionTable(tuple(questions), table[list(dict.fromkeys(order))], tuple(answers))


def build_sides(groups: Sequence[Sequence[Run]], *, ks: Sequence[int] = ()) -> list[Side]:
    """Judge the groups of runs, each one side, and pair them all by question.

    Args:
        groups: of runs of one task.
        ks: sample counts beside those that were logged.

    Raises:
        ResultsError: the runs are of several task versions or asked different questions, or a k
            is larger than a pool.
    """
    members = [run for group in groups for run in group]
    _check_versions(members)
    judged = {run.name: judge(run, ks=ks) for run in members}
    first = members[0]
    for run in members[1:]:
        same_questions(
            judged[first.name].questions, judged[run.name].questions, names=(first.name, run.name)
        )
    order = judged[first.name].metrics.index
    return [
        Side(
            group[0].name, tuple(group), tuple(judged[run.name].metrics.loc[order] for run in group)
        )
        for group in groups
    ]


def group_by_setup(runs: Iterable[Run]) -> list[list[Run]]:
    """Return the runs in groups that differ in their seed at most, in the order given."""
    groups: dict[object, list[Run]] = {}
    for run in runs:
        groups.setdefault(run.setup_but_seed, []).append(run)
    return list(groups.values())


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


def _check_ks(ks: Sequence[int], pool: Pool, question: Question, *, name: str) -> None:
    for k in ks:
        if k < 1:
            raise ResultsError(f"k = {k}; it must be a whole number of at least 1.")
        if k > len(pool.candidates):
            raise ResultsError(
                f"k = {k} is larger than the pool of question {question.id!r} in {name}, which "
                f"has {len(pool.candidates)} candidates. Ask for a smaller k, or sample more."
            )


def _check_versions(runs: Sequence[Run]) -> None:
    known = {run.task_version: run.name for run in runs if run.task_version is not None}
    if len(known) > 1:
        listed = ", ".join(f"{version} ({name})" for version, name in known.items())
        raise ResultsError(
            f"The runs of {runs[0].task} are of several versions of the task, {listed}, which are "
            "not compared. Run the older ones again."
        )

"""Runs question by question: which asked the same, and what they scored."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import pandas as pd

from ...tasks import Pool, Question, find_judge, pool_metrics, read_tolerance
from ..errors import ResultsError
from .log import read_log
from .record import Run
from .same import same_questions, same_version

CANDIDATE_0 = "candidate_0"
"""Whether candidate 0 is right: a run of N = 1 inside every run. `first`, which reports call the
mean over candidates, is another number: pass@1."""


@dataclass(frozen=True)
class QuestionTable:
    """What is known of each question of a run.

    Attributes:
        questions: in the order of the log.
        metrics: a row a question, a column a metric that every question has; ids as index.
        answers: of the first candidates.
        sizes: question -> how many candidates it has.
    """

    questions: tuple[Question, ...]
    metrics: pd.DataFrame
    answers: tuple[str | None, ...]
    sizes: Mapping[str, int]


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
    def deterministic(self) -> bool:
        """Whether its runs sampled nothing."""
        return all(run.config.deterministic for run in self.runs)

    @property
    def means(self) -> pd.DataFrame:
        """For each question the mean over seeds, of the metrics that all runs have."""
        total = reduce(lambda one, other: one.add(other).dropna(axis=1), self.tables)
        order = [name for name in self.tables[0] if name in total]
        return total[order] / len(self.tables)


def judge(
    run: Run, *, ks: Sequence[int] = (), first: Mapping[str, int] | None = None
) -> QuestionTable:
    """Return a run's metrics of every question: the logged ones, `candidate_0` and further ks.

    Args:
        run: whose log is read.
        ks: sample counts beside those that were logged.
        first: question -> how many of its candidates count, the first ones; their metrics are
            computed and the logged ones, which are of all, left out. All count if not given.

    Raises:
        ResultsError: the log cannot be used, or a k is larger than a pool.
    """
    tolerance = read_tolerance(run.tolerance)
    questions, answers, rows, sizes = [], [], [], {}
    for logged in read_log(run, () if first else tuple(run.metrics)):
        question = logged.question
        pool, more = logged.pool(), {}
        sizes[question.id] = len(pool.candidates)
        if first:
            pool = Pool(pool.candidates[: first[question.id]], pool.beams, judge=pool.judge)
            more = pool_metrics(pool, question.gold, tolerance=tolerance)
        if ks:
            _check_ks(ks, pool, question, name=run.name)
            more |= pool_metrics(pool, question.gold, ks=ks, tolerance=tolerance)
        answer = pool.candidates[0].answer
        right = find_judge(run.judge).is_right(answer, question.gold, tolerance=tolerance)
        rows.append(more | {CANDIDATE_0: float(right)} | logged.metrics)
        questions.append(question)
        answers.append(answer)
    index = pd.Index([question.id for question in questions], name="question")
    table = pd.DataFrame(rows, index=index).dropna(axis=1)
    order = [name for name in run.metrics if name in table]
    order += [name for name in (CANDIDATE_0, *table) if name not in run.metrics]
    columns = table[list(dict.fromkeys(order))]
    return QuestionTable(tuple(questions), columns, tuple(answers), sizes)


def build_sides(
    groups: Sequence[Sequence[Run]], *, ks: Sequence[Sequence[int]] | None = None
) -> list[Side]:
    """Judge the groups of runs, each one side, and pair them all by question.

    Args:
        groups: of runs of one task.
        ks: for each group, sample counts beside those that were logged.

    Raises:
        ResultsError: the runs are of several task versions or asked different questions, or a k
            is larger than a pool.
    """
    members = [run for group in groups for run in group]
    same_version(members)
    further = ks or [()] * len(groups)
    judged = {
        run.name: judge(run, ks=own)
        for group, own in zip(groups, further, strict=True)
        for run in group
    }
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


def with_equal_pools(new: Run, old: Run) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Judge two runs on the same questions by as many candidates each, the first of both.

    Only then is a question's difference as likely as its negative where both are of one model: a
    mean over 64 candidates varies less than one over 16, and so does an estimate of a vote.

    Raises:
        ResultsError: a log cannot be used, or the runs cannot be paired.
    """
    same_version([new, old])
    ours, theirs = judge(new), judge(old)
    same_questions(ours.questions, theirs.questions, names=(new.name, old.name))
    if new.config.stop != old.config.stop:
        stopped = new if new.config.stop else old
        raise ResultsError(
            f"{stopped.name} stopped sampling early ({stopped.config.stop}), so its candidates are "
            "not the beginning of another run's and no drop can be tested between them. Compare "
            "the votes: latent-tts compare."
        )
    if ours.sizes != theirs.sizes and new.config.stop is None:
        smaller = {key: min(size, theirs.sizes[key]) for key, size in ours.sizes.items()}
        ours, theirs = (judge(run, first=smaller) for run in (new, old))
    return ours.metrics, theirs.metrics.loc[ours.metrics.index]


def group_by_setup(runs: Iterable[Run]) -> list[list[Run]]:
    """Return the runs in groups that differ in their seed at most, in the order given."""
    groups: dict[object, list[Run]] = {}
    for run in runs:
        groups.setdefault(run.setup_but_seed, []).append(run)
    return list(groups.values())


def _check_ks(ks: Sequence[int], pool: Pool, question: Question, *, name: str) -> None:
    for k in ks:
        if k < 1:
            raise ResultsError(f"k = {k}; it must be a whole number of at least 1.")
        if pool.stop is not None and k > pool.stop.least and k != pool.stop.most:
            raise ResultsError(
                f"k = {k} cannot be estimated in {name}: sampling stopped where votes were settled "
                f"({pool.stop.rule}), so only the first {pool.stop.least} samples of each question "
                f"are no selection. Ask for k <= {pool.stop.least}, or voting@{pool.stop.most}."
            )
        if pool.stop is None and k > len(pool.candidates):
            raise ResultsError(
                f"k = {k} is larger than the pool of question {question.id!r} in {name}, which "
                f"has {len(pool.candidates)} candidates. Ask for a smaller k, or sample more."
            )

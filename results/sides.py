"""The runs that a command was given, found, judged and paired by question."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path

import click
import pandas as pd

from .errors import ResultsError
from .judged import judge, same_questions
from .records import collect
from .run import Problem, Run


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


def collect_and_tell(path: Path) -> tuple[list[Run], list[Problem]]:
    """Return `collect` of a folder, and tell on stderr what is not used."""
    found, problems = collect([path])
    for problem in problems:
        click.echo(f"{'skipped' if problem.skipped else 'note'}: {problem}", err=True)
    return found, problems


def load_runs(path: Path) -> dict[str, Run]:
    """Return the runs in one run folder by task, and tell on stderr what is not used.

    Raises:
        ResultsError: there is none, or a task has several that are not repetitions.
    """
    found, _ = collect_and_tell(path)
    counts = Counter(run.task for run in found)
    for task, count in counts.items():
        if count > 1:
            listed = ", ".join(str(run.results) for run in found if run.task == task)
            raise ResultsError(
                f"{str(path)!r} holds {count} runs of {task}: {listed}. Name one of these."
            )
    if not found:
        raise ResultsError(f"{str(path)!r} holds no run that can be used.")
    return {run.task: run for run in found}


def load_all(paths: Sequence[Path]) -> list[dict[str, Run]]:
    """Return `load_runs` of every path, with names that tell the runs apart."""
    loaded = [load_runs(path) for path in paths]
    names = [next(iter(runs.values())).name for runs in loaded]
    if len(set(names)) < len(names):
        names = [str(path) for path in paths]
    if len(set(names)) < len(names):
        raise ResultsError(f"The same run is named twice: {', '.join(map(str, paths))}.")
    return [
        {task: replace(run, name=name) for task, run in runs.items()}
        for name, runs in zip(names, loaded, strict=True)
    ]


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
    order = judged[first.name].table.index
    return [
        Side(group[0].name, tuple(group), tuple(judged[run.name].table.loc[order] for run in group))
        for group in groups
    ]


def group_by_setup(runs: Iterable[Run]) -> list[list[Run]]:
    """Return the runs in groups that differ in their seed at most, in the order given."""
    groups: dict[object, list[Run]] = {}
    for run in runs:
        groups.setdefault(run.setup_but_seed, []).append(run)
    return list(groups.values())


def shared_tasks(loaded: Sequence[Mapping[str, Run]]) -> list[str]:
    """Return the tasks that all runs have; tell on stderr about the others.

    Raises:
        ResultsError: there is none.
    """
    shared = [task for task in loaded[0] if all(task in runs for runs in loaded)]
    others = {task for runs in loaded for task in runs} - set(shared)
    if not shared:
        raise ResultsError(f"No task was run on all sides; there are {', '.join(sorted(others))}.")
    for task in sorted(others):
        click.echo(f"note: {task} was not run on all sides.", err=True)
    return shared


def _check_versions(runs: Sequence[Run]) -> None:
    known = {run.task_version: run.name for run in runs if run.task_version is not None}
    if len(known) > 1:
        listed = ", ".join(f"{version} ({name})" for version, name in known.items())
        raise ResultsError(
            f"The runs of {runs[0].task} are of several versions of the task, {listed}, which are "
            "not compared. Run the older ones again."
        )

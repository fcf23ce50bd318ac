"""Records of all runs under folders.

`collect` looks for `results_<date>.json` and pairs it with the `samples_<task>_<date>.jsonl` (or
`.jsonl.gz`) beside it. The pools stay in the log until `read_log` is asked for them.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ..errors import ResultsError
from .lm_eval_files import find_results
from .read import read_runs
from .record import Problem, Run


def collect(paths: Iterable[Path]) -> tuple[list[Run], list[Problem]]:
    """Collect the records of all runs under folders, oldest first.

    Of two runs with the same settings on the same task the newest stays, and of a task only the
    newest version: numbers of two versions do not belong into one table.

    Args:
        paths: run folders, folders of run folders, or results files.

    Returns:
        The runs that can be used, each with a name of its own within its task, and what cannot.

    Raises:
        ResultsError: a path does not exist.
    """
    runs: list[Run] = []
    problems: list[Problem] = []
    for path in dict.fromkeys(Path(path) for path in paths):
        if not path.exists():
            raise ResultsError(f"There is no {str(path)!r}; name the --output_path of a run.")
        files, unreadable = find_results(path)
        problems += unreadable
        if not files and not unreadable:
            problems.append(
                Problem(path, "no results_<date>.json below it. Run lm_eval with --output_path.")
            )
        for file in files:
            found, bad = read_runs(file)
            runs += found
            problems += bad
    by_file = {(run.results.resolve(), run.task): run for run in reversed(runs)}
    runs = sorted(by_file.values(), key=lambda run: (run.date, run.name, run.task))
    for choose in (_newest_version, _newest_of_repeated):
        runs, bad = choose(runs)
        problems += bad
    problems += _mixed_packages(runs)
    return _told_apart(runs), problems


def runs_by_task(path: Path) -> tuple[dict[str, Run], list[Problem]]:
    """Return the runs in one run folder by task, and what is not used.

    Raises:
        ResultsError: there is none, or a task has several that are not repetitions.
    """
    found, problems = collect([path])
    for task, count in Counter(run.task for run in found).items():
        if count > 1:
            listed = ", ".join(str(run.results) for run in found if run.task == task)
            raise ResultsError(
                f"{str(path)!r} holds {count} runs of {task}: {listed}. Name one of these."
            )
    if not found:
        reasons = "".join(f" {problem}" for problem in problems)
        raise ResultsError(f"{str(path)!r} holds no run that can be used.{reasons}")
    return {run.task: run for run in found}, problems


def with_own_names(
    loaded: Sequence[Mapping[str, Run]], paths: Sequence[Path]
) -> list[dict[str, Run]]:
    """Return runs by task with names that tell the paths apart that they were read from.

    Raises:
        ResultsError: a path is named twice.
    """
    names = [next(iter(runs.values())).name for runs in loaded]
    if len(set(names)) < len(names):
        names = [str(path) for path in paths]
    if len(set(names)) < len(names):
        raise ResultsError(f"The same run is named twice: {', '.join(map(str, paths))}.")
    return [
        {task: replace(run, name=name) for task, run in runs.items()}
        for name, runs in zip(names, loaded, strict=True)
    ]


def shared_tasks(loaded: Sequence[Mapping[str, Run]]) -> tuple[list[str], list[str]]:
    """Return the tasks that all sides have, and the others.

    Raises:
        ResultsError: all sides have none in common.
    """
    shared = [task for task in loaded[0] if all(task in runs for runs in loaded)]
    others = sorted({task for runs in loaded for task in runs} - set(shared))
    if not shared:
        raise ResultsError(f"No task was run on all sides; there are {', '.join(others)}.")
    return shared, others


def _newest_version(runs: Sequence[Run]) -> tuple[list[Run], list[Problem]]:
    newest = {run.task: run.task_version for run in runs if run.task_version is not None}
    old = [run for run in runs if run.task_version not in (None, newest.get(run.task))]
    problems = [
        Problem(
            run.results,
            f"{run.task} of version {run.task_version}, while newer runs have version "
            f"{newest[run.task]}; versions are not compared. Run again.",
        )
        for run in old
    ]
    return [run for run in runs if run not in old], problems


def _newest_of_repeated(runs: Sequence[Run]) -> tuple[list[Run], list[Problem]]:
    newest = {run.setup: run for run in runs}
    kept = [run for run in runs if newest[run.setup] is run]
    problems = [
        Problem(
            run.results,
            f"{run.task} was run again with the same settings; the newest counts, "
            f"{newest[run.setup].results}.",
        )
        for run in runs
        if newest[run.setup] is not run
    ]
    return kept, problems


def _mixed_packages(runs: Sequence[Run]) -> list[Problem]:
    """Say which packages the runs of a task have in several versions; such runs are kept."""
    problems = []
    for task in dict.fromkeys(run.task for run in runs):
        members = [run for run in runs if run.task == task]
        for package in dict.fromkeys(name for run in members for name in run.config.versions):
            versions = {
                run.config.versions[package]: run
                for run in members
                if package in run.config.versions
            }
            if len(versions) > 1:
                listed = ", ".join(f"{version} ({run.name})" for version, run in versions.items())
                message = f"{task} was run with several versions of {package}: {listed}."
                problems.append(Problem(members[-1].results, message, skipped=False))
    return problems


def _told_apart(runs: Sequence[Run]) -> list[Run]:
    """Add dates to the names that several runs of a task share."""
    taken = Counter((run.name, run.task) for run in runs)
    return [
        replace(run, name=f"{run.name} {run.date}") if taken[run.name, run.task] > 1 else run
        for run in runs
    ]

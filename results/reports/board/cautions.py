"""Runs that cannot stand beside the others of their task."""

from collections import Counter
from collections.abc import Sequence

from ...runs.record import Problem, Run


def unlike_questions(runs: Sequence[Run]) -> dict[tuple[str, str], Problem]:
    """Find the runs that were not asked what the other runs of their task were asked.

    The questions of most runs among those with the most questions are the task's. A run without
    lm-eval's hash is told apart by its number of questions alone.

    Args:
        runs: of `collect`.

    Returns:
        (run, task) -> what is to be said of it; such a run stays on the board.
    """
    found = {}
    for task in dict.fromkeys(run.task for run in runs):
        members = [run for run in runs if run.task == task]
        most = max(run.questions for run in members)
        hashes = Counter(
            run.questions_hash for run in members if run.questions == most and run.questions_hash
        )
        usual = max(hashes, key=hashes.__getitem__, default=None)
        for run in members:
            difference = _difference(run, most, usual)
            if difference:
                message = f"{task} {difference}: not comparable with the others."
                found[run.name, task] = Problem(run.results, message, skipped=False)
    return found


def _difference(run: Run, most: int, usual: str | None) -> str | None:
    if run.questions < most:
        return f"was asked {run.questions} of {most} questions"
    if run.questions_hash and usual and run.questions_hash != usual:
        return f"was asked {most} questions that differ in their text, prompt or order"
    return None

"""Whether runs asked the same: the questions, and the version of the task."""

from collections.abc import Sequence

from ...tasks import Question, canonical
from ..errors import ResultsError
from .record import Run


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
    return texts_agree and gold_key(one.gold) == gold_key(other.gold)


def gold_key(gold: str) -> str:
    """Return what a gold answer is compared by: "24" and "24.0" are one answer."""
    return canonical(gold) or gold


def same_version(runs: Sequence[Run]) -> None:
    """Refuse to pair runs of several versions of a task.

    Raises:
        ResultsError: names the versions.
    """
    known = {run.task_version: run.name for run in runs if run.task_version is not None}
    if len(known) > 1:
        listed = ", ".join(f"{version} ({name})" for version, name in known.items())
        raise ResultsError(
            f"The runs of {runs[0].task} are of several versions of the task, {listed}, which are "
            "not compared. Run the older ones again."
        )

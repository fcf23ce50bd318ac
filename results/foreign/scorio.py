"""Outcome arrays as the library scorio takes them: a matrix R of questions and trials, 0 or 1.

`FILE.npy` is R alone. `FILE.npz` holds R, and, written from here, `answers` f64[M, N], a number
for each answer that is equal where candidates vote together and NaN where there is none (what
`scorio.aggregate` counts), and `scores` f64[M, N] where candidates have rewards. What no array
holds stands beside, in `FILE.json`: ids, texts and gold answers of questions, answers of
candidates.

Of an array without answers outcomes alone are known: pass@k, coverage and best-of-N have values,
votes have none.
"""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from ...tasks import Pool, Question, find_judge, read_tolerance
from ...tasks.judges import RIGHT, WRONG
from ..errors import ResultsError
from ..runs.lenient import decode
from .arrays import Floats, Outcomes, read_arrays
from .line import Imported, PoolLine, read_gold, refuse_repeated, stated


class _Beside(msgspec.Struct, omit_defaults=True):
    """What stands in the JSON file beside an array."""

    question_ids: list[str | int]
    questions: list[str] | None = None
    golds: list[str] | None = None
    answers: list[list[str | None]] | None = None
    judge: str = "outcome"
    tolerance: str = "0"
    seed: int | None = None
    task: str | None = None
    model: str | None = None


_BESIDE = msgspec.json.Decoder(_Beside)


def place_beside(file: Path) -> Path:
    """Return where the JSON file of an array lies."""
    return file.with_suffix(".json")


def read_scorio(file: Path, *, judge: str | None = None) -> Imported:
    """Read an outcome array, with the JSON file beside it where there is one.

    Args:
        file: `.npy` or `.npz`.
        judge: the name of the judge of the answers beside; None for that which stands there.

    Raises:
        ResultsError: pickled objects, no array of outcomes, or a file beside it that does not fit.
    """
    outcomes, scores = read_arrays(file)
    place = place_beside(file)
    beside = _read_beside(place) if place.is_file() else None
    if beside is None:
        beside = _Beside(question_ids=list(range(len(outcomes))))
    known = beside.answers is not None and beside.golds is not None
    columns = {
        "question_ids": beside.question_ids,
        "questions": beside.questions,
        "golds": beside.golds,
        "answers": beside.answers,
    }
    for name, column in columns.items():
        if column is not None and len(column) != len(outcomes):
            raise ResultsError(
                f"{place} has {len(column)} {name} for {len(outcomes)} questions in {file}."
            )
    judge = (judge or beside.judge) if known else "outcome"
    lines = [
        _line(i, outcomes[i], scores, beside, judge=judge, place=place, file=file)
        for i in range(len(outcomes))
    ]
    refuse_repeated(lines, called="id", advice="Give every question one of its own.")
    notes = (
        ()
        if judge != "outcome"
        else (
            f"{file.name} holds outcomes and no answers, so that there are no votes: voting is "
            "left out.",
        )
    )
    return Imported(
        lines, judge, beside.tolerance if known else None, seed=beside.seed, notes=notes
    )


def _line(
    index: int,
    outcomes: Outcomes,
    scores: Floats | None,
    beside: _Beside,
    *,
    judge: str,
    place: Path,
    file: Path,
) -> PoolLine:
    where = f"{file}, question {index}"
    answers: Sequence[str | None] = [RIGHT if right else WRONG for right in outcomes]
    gold = RIGHT
    if judge != "outcome" and beside.answers is not None and beside.golds is not None:
        answers, read = beside.answers[index], read_gold(beside.golds[index], judge)
        if read is None or len(answers) != len(outcomes):
            raise ResultsError(
                f"{place}, question {index}: {len(answers)} answers for {len(outcomes)} outcomes, "
                f"gold {beside.golds[index]!r}. As many as outcomes are needed, and a gold that is "
                f"{find_judge(judge).golds}."
            )
        gold = read
        _compare(answers, outcomes, gold, judge=judge, tolerance=beside.tolerance, where=where)
    rewards = None if scores is None else [float(score) for score in scores[index]]
    text = "" if beside.questions is None else beside.questions[index]
    question = Question(id=str(beside.question_ids[index]), text=text, gold=gold)
    return PoolLine(where, question, Pool(stated(answers, rewards), judge=judge))


def _compare(
    answers: Sequence[str | None],
    outcomes: Outcomes,
    gold: str,
    *,
    judge: str,
    tolerance: str,
    where: str,
) -> None:
    judged, allowed = find_judge(judge), read_tolerance(tolerance)
    for answer, outcome in zip(answers, outcomes, strict=True):
        right = judged.is_right(answer, gold, tolerance=allowed)
        if right != bool(outcome):
            raise ResultsError(
                f"{where}: R has {outcome} for the answer {answer!r} where gold is {gold!r}: the "
                "file beside is another array's, or its answers were judged by another rule."
            )


def _read_beside(place: Path) -> _Beside:
    try:
        beside = decode(place.read_bytes(), _BESIDE)
        find_judge(beside.judge)
        read_tolerance(beside.tolerance)
    except (ValueError, OSError) as error:
        raise ResultsError(
            f"{place}: {error}. What stands beside an array is at least "
            '{"question_ids": ["a", "b", …]}, an id a row.'
        ) from error
    return beside

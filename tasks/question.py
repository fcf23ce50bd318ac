"""A question with its gold answer, and the JSONL file format that holds them."""

import json
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, NamedTuple, NoReturn, TypeVar

import msgspec

from .answers import canonical
from .errors import TaskError
from .judges import find_judge

_FORMAT = 'one JSON object a line: {"id": "7", "question": "What is 2 + 3?", "answer": "5"}'
_NAMES = {"problem": "question", "unique_id": "id"}
T = TypeVar("T")
_Text = Annotated[str, msgspec.Meta(pattern=r"\S")]


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked and what counts as right.

    Attributes:
        id: the question's name within its set, unique; pools and reports call it so. The random
            numbers of its samples are addressed by its prompt's token ids instead.
        text: the question as the data set has it, without any prompt format.
        gold: the right answer, for number tasks as a canonical decimal.
        judge: the name of the judge that says which answers are right.
        tolerance: the largest difference from gold, see `is_correct`, that counts as right.
    """

    id: str
    text: str
    gold: str
    judge: str = "number"
    tolerance: Decimal = Decimal(0)

    def is_right(self, answer: str | None) -> bool:
        """Tell whether an answer is right; None, where none was found, is not."""
        return find_judge(self.judge).is_right(answer, self.gold, tolerance=self.tolerance)


class Golds(NamedTuple):
    """What the gold answers of a set must be.

    Attributes:
        read: returns the answer in the spelling that is kept, None where it is none.
        words: what is allowed and what to do, for messages, after `is not`.
    """

    read: Callable[[str], str | None]
    words: str


class _Row(msgspec.Struct):
    id: _Text
    question: _Text
    answer: _Text


def read_questions(
    path: str | Path, *, judge: str = "number", golds: Golds | None = None
) -> list[Question]:
    """Read a JSONL file of `{"id", "question", "answer"}` objects; other fields are ignored.

    The fields may be called `unique_id` and `problem`, as MATH-500 and AIME have them.

    Args:
        path: the file; one called `.json` holds a list of such objects, whose ids may be left out.
            Blank lines are skipped; numbers may stand as JSON numbers or strings.
        judge: the name of the judge of the answers; numbers are stored canonically.
        golds: what each answer must be beyond that the judge can read it.

    Returns:
        The questions in file order.

    Raises:
        TaskError: the file is missing or empty, or a line is malformed; names file and line.
    """
    seen: dict[str, int] = {}
    questions = []
    for number, where, row in read_rows(path, expected=_FORMAT):
        row = {name: row[also] for also, name in _NAMES.items() if also in row} | row
        question = question_from(row, where=where, judge=judge, golds=golds)
        if question.id in seen:
            raise TaskError(
                f"{where}: id {question.id!r} was already used in line {seen[question.id]}. Give "
                "every question an id of its own."
            )
        seen[question.id] = number
        questions.append(question)
    return questions


def read_rows(path: str | Path, *, expected: str) -> Iterator[tuple[int, str, dict[str, object]]]:
    """Yield the objects of a JSONL file: line number, `file, line n` for messages, the object.

    Args:
        path: the file. Blank lines are skipped; JSON numbers become strings, digit for digit.
        expected: what a line should be, for messages.

    Raises:
        TaskError: the file is missing or empty, or a line is no JSON object; names file and line.
    """
    file = Path(path)
    try:
        lines = file.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise TaskError(f"{file} is not UTF-8 text: {error}. Save it as UTF-8.") from error
    except (OSError, ValueError) as error:  # a name that cannot be one is a ValueError
        raise TaskError(f"cannot read {file}: {error}. Give a JSONL file, {expected}") from error
    if file.suffix == ".json":
        yield from _listed(file, "\n".join(lines), expected=expected)
        return
    if not any(line.strip() for line in lines):
        raise TaskError(f"{file} holds no questions. Expected {expected}")
    for number, line in enumerate(lines, start=1):
        if line.strip():
            where = f"{file}, line {number}"
            yield number, where, _parse(line, where=where, expected=expected, kind=dict)


def _listed(
    file: Path, text: str, *, expected: str
) -> Iterator[tuple[int, str, dict[str, object]]]:
    """Yield the objects of a JSON list, as LatentTTS and COCONUT have their questions.

    An object without an id is called by its place in the list.
    """
    rows = _parse(text, where=str(file), expected=f"a JSON list, or {expected}", kind=list)
    if not rows:
        raise TaskError(f"{file} holds no questions. Expected {expected}")
    for index, row in enumerate(rows):
        where = f"{file}, element {index}"
        if not isinstance(row, dict):
            raise TaskError(f"{where}: no object but {str(row)[:40]}. Expected {expected}")
        yield index, where, {"id": str(index), **row}


def question_from(
    row: Mapping[str, object],
    *,
    where: str,
    judge: str = "number",
    tolerance: Decimal = Decimal(0),
    golds: Golds | None = None,
) -> Question:
    """Make a `Question` of the fields `id`, `question` and `answer`, all strings.

    Args:
        row: the fields.
        where: where the row comes from, for error messages.
        judge: the name of the judge of the answer; a number is stored canonically.
        tolerance: the largest difference from the answer that counts as right.
        golds: what the answer must be beyond that the judge can read it.

    Returns:
        The question.

    Raises:
        TaskError: a field is missing, is empty or is of the wrong kind, or the judge is unknown or
            cannot read the answer.
    """
    try:
        fields = msgspec.convert(row, _Row)
    except msgspec.ValidationError as error:
        raise TaskError(
            f"{where}: {error}, found {str(row)[:80]}. Expected {_FORMAT}, each field a text with "
            "something in it."
        ) from error
    gold: str | None = fields.answer.strip()
    if golds is not None:
        gold = golds.read(fields.answer.strip())
    elif judge == "number":
        gold = canonical(fields.answer.strip()) or gold
    if gold is None or not find_judge(judge).can_judge(gold):
        words = find_judge(judge).golds if golds is None else golds.words
        advice = (
            "Mend it."
            if golds is not None
            else (
                "Mend it, or choose another judge (number, text, math): --judge, or judge in the "
                "task's metadata."
            )
        )
        raise TaskError(
            f"{where}: answer {fields.answer!r} is not {words} (question {fields.id!r}). {advice}"
        )
    return Question(
        id=fields.id.strip(),
        text=fields.question.strip(),
        gold=gold,
        judge=judge,
        tolerance=tolerance,
    )


def _parse(line: str, *, where: str, expected: str, kind: type[T]) -> T:
    try:
        # Numbers stay text, digit for digit: 0.1 must not become a binary fraction.
        row = json.loads(line, parse_int=str, parse_float=str, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        deep = "nested too deeply" if isinstance(error, RecursionError) else error
        raise TaskError(f"{where}: not JSON ({deep}). Expected {expected}") from error
    if not isinstance(row, kind):
        name = "list" if kind is list else "object"
        raise TaskError(f"{where}: not a JSON {name} but {line[:40]!r}. Expected {expected}")
    return row


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")

"""A question with its gold answer, and the JSONL file format that holds them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from .answers import canonical
from .errors import TaskError

_FORMAT = 'one JSON object a line: {"id": "7", "question": "What is 2 + 3?", "answer": "5"}'


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked and what counts as right.

    Attributes:
        id: The question's name within its set, unique; randomness is addressed by it.
        text: The question as the data set has it, without any prompt format.
        gold: The right answer, for number tasks as a canonical decimal.
    """

    id: str
    text: str
    gold: str


def read_questions(path: str | Path, *, numeric: bool = True) -> list[Question]:
    """Reads a JSONL file of `{"id", "question", "answer"}` objects; other fields are ignored.

    Args:
        path: The file. Blank lines are skipped; numbers may stand as JSON numbers or strings.
        numeric: Whether each answer must be a number, which is then stored canonically.

    Returns:
        The questions in file order.

    Raises:
        TaskError: The file is missing or empty, or a line is malformed; names file and line.
    """
    file = Path(path)
    try:
        lines = file.read_text(encoding="utf-8-sig").split("\n")
    except OSError as error:
        raise TaskError(f"cannot read {file}: {error}. Give a JSONL file, {_FORMAT}") from error
    except UnicodeDecodeError as error:
        raise TaskError(f"{file} is not UTF-8 text: {error}. Save it as UTF-8.") from error
    seen: dict[str, int] = {}
    questions = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        question = _parse_line(line, where=f"{file}, line {number}", numeric=numeric)
        if question.id in seen:
            raise TaskError(
                f"{file}, line {number}: id {question.id!r} was already used in line "
                f"{seen[question.id]}. Give every question an id of its own."
            )
        seen[question.id] = number
        questions.append(question)
    if not questions:
        raise TaskError(f"{file} holds no questions. Expected {_FORMAT}")
    return questions


def question_from(row: Mapping[str, Any], *, where: str, numeric: bool = True) -> Question:
    """Builds a `Question` from the fields `id`, `question` and `answer`, all strings.

    Args:
        row: The fields.
        where: Where the row comes from, for error messages.
        numeric: Whether the answer must be a number, which is then stored canonically.

    Returns:
        The question.

    Raises:
        TaskError: A field is missing, is empty or is of the wrong kind.
    """
    for field in ("id", "question", "answer"):
        if field not in row:
            raise TaskError(
                f"{where}: field {field!r} is missing, found {sorted(row)}. Expected {_FORMAT}"
            )
        value = row[field]
        if not isinstance(value, str) or not value.strip():
            raise TaskError(
                f"{where}: field {field!r} is {value!r}, not a text with something in it. "
                f"Expected {_FORMAT}"
            )
    gold: str | None = row["answer"].strip()
    if numeric:
        gold = canonical(gold)
    if gold is None:
        raise TaskError(
            f"{where}: answer {row['answer']!r} is not a number. Write a plain decimal such as "
            "'-1234.5', or read the file with numeric=False."
        )
    return Question(id=row["id"].strip(), text=row["question"].strip(), gold=gold)


def _parse_line(line: str, *, where: str, numeric: bool) -> Question:
    try:
        # Numbers stay text, digit for digit: 0.1 must not become a binary fraction.
        row = json.loads(line, parse_int=str, parse_float=str, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise TaskError(f"{where}: not JSON ({error}). Expected {_FORMAT}") from error
    if not isinstance(row, dict):
        raise TaskError(f"{where}: not a JSON object but {line[:40]!r}. Expected {_FORMAT}")
    return question_from(row, where=where, numeric=numeric)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")

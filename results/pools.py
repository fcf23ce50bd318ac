"""Candidates made by any other program, as JSON Lines.

One JSON object a line, one line a question:

    {"id": "7", "question": "What is 2 + 3?", "gold": "5",
     "candidates": [{"answer": "5", "text": "2 + 3 = 5", "reward": 0.9}, {"answer": null}]}

`id` is the question's name, unique in the file; `gold` the right answer, a number; `question` may
be left out. Each candidate needs its `answer`, null where it has none; it may have `text`, `reward`
and `step_rewards` (numbers, a list of these; null, NaN and what float64 cannot hold are scores
that are no number), `thoughts` and `answer_tokens` (counts), and
`truncated` (true where a limit cut it off). Numbers may be given as numbers or as texts. Candidates
stand in the order in which they were sampled: tied votes go to the earliest. Other fields are
ignored, blank lines too.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..tasks import Candidate, Pool, Question, canonical
from .errors import ResultsError

_EXAMPLE = '{"id": "7", "gold": "5", "candidates": [{"answer": "5"}, {"answer": null}]}'


@dataclass(frozen=True)
class PoolLine:
    """One question of a pool file.

    Attributes:
        where: file and line, for error messages.
        question: with "" as text where the file has none.
        pool: its candidates.
        counted: the fields among `thoughts`, `answer_tokens` and `truncated` that all have.
    """

    where: str
    question: Question
    pool: Pool
    counted: frozenset[str]


class _Number(str):
    """A JSON number, digit for digit: 0.1 must not become a binary fraction."""


def read_pools(file: Path) -> list[PoolLine]:
    """Read a pool file.

    Raises:
        ResultsError: a line is not JSON, lacks a field or has one of the wrong kind, with file,
            line and field named; an id comes twice; or there is no line.
    """
    lines: list[PoolLine] = []
    seen: dict[str, str] = {}
    for where, row in _rows(file):
        line = _read_line(row, where=where)
        key = line.question.id
        if key in seen:
            raise ResultsError(
                f"{where}: 'id' {key!r} stands already at {seen[key]}. Give every question one of "
                "its own, and all its candidates in one line."
            )
        seen[key] = where
        lines.append(line)
    if not lines:
        raise ResultsError(f"{file} holds no pools. Expected a line a question: {_EXAMPLE}")
    return lines


def _rows(file: Path) -> Iterator[tuple[str, object]]:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ResultsError(f"{file} is not UTF-8 text ({error}). Save it as UTF-8.") from error
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{file}:{number}"
        try:
            row = json.loads(line, parse_int=_Number, parse_float=_Number, parse_constant=_Number)
        except (ValueError, RecursionError) as error:
            raise ResultsError(
                f"{where} is not JSON ({error}); was it cut off? Expected a line a question: "
                f"{_EXAMPLE}"
            ) from error
        yield where, row


def _read_line(row: object, *, where: str) -> PoolLine:
    if not isinstance(row, Mapping):
        raise ResultsError(f"{where} is no JSON object. Expected {_EXAMPLE}")
    key = _field(row, "id", _text, "a text or number with something in it", where)
    gold = _field(row, "gold", _decimal, "a number, such as 5 or '-1234.5'", where)
    text = _field(row, "question", _text, "a text, or left out", where) if "question" in row else ""
    candidates = _field(row, "candidates", _list, "a list with a candidate or more", where)
    counted = [name for name in _COUNTED if all(name in _mapping(one) for one in candidates)]
    pool = Pool(
        tuple(
            _read_candidate(one, where=f"{where}: candidate {place}")
            for place, one in enumerate(candidates)
        )
    )
    return PoolLine(where, Question(id=key, text=text, gold=gold), pool, frozenset(counted))


def _read_candidate(row: object, *, where: str) -> Candidate:
    if not isinstance(row, Mapping):
        raise ResultsError(f"{where} is no JSON object. Expected {_EXAMPLE}")
    answer = _field(row, "answer", _answer, "a text, a number or null", where)
    fields = {
        name: _field(row, name, read, wanted, where)
        for name, (read, wanted) in _OPTIONAL.items()
        if name in row
    }
    return Candidate(answer=answer or None, **{**_DEFAULTS, "text": answer, **fields})


def _field(
    row: Mapping[str, Any], name: str, read: Callable[[Any], Any], wanted: str, where: str
) -> Any:
    if name not in row:
        raise ResultsError(f"{where}: {name!r} is missing. Expected {_EXAMPLE}")
    try:
        return read(row[name])
    except UnicodeEncodeError as error:
        raise ResultsError(
            f"{where}: {name!r} holds {error.object[error.start]!r}, half of a character, which "
            "cannot be stored. It may have been cut in two; write the whole one, or leave it out."
        ) from error
    except (ValueError, OverflowError) as error:
        raise ResultsError(f"{where}: {name!r} is {row[name]!r}; it must be {wanted}.") from error


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError
    return _whole(value).strip()


def _decimal(value: object) -> str:
    number = canonical(value) if isinstance(value, str) else None
    if number is None:
        raise ValueError
    return number


def _list(value: object) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise ValueError
    return value


def _answer(value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ValueError
    return _whole(value)


def _any_text(value: object) -> str:
    if not isinstance(value, str) or isinstance(value, _Number):
        raise ValueError
    return _whole(value)


def _whole(text: str) -> str:
    """Return a text as such, unless it holds half of a surrogate pair, which JSON can spell."""
    text.encode()
    return str(text)


def _count(value: object) -> int:
    if not isinstance(value, _Number) or int(value) < 0:
        raise ValueError
    return int(value)


def _bool(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


def _reward(value: object) -> float:
    if value is None:
        return math.nan
    if not isinstance(value, _Number):
        raise ValueError
    number = float(value)
    return number if math.isfinite(number) else math.nan


def _step_rewards(value: object) -> tuple[float, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list):
        raise ValueError
    return tuple(_reward(step) for step in value)


_COUNTED = ("thoughts", "answer_tokens", "truncated")
_DEFAULTS = {"thoughts": 0, "answer_tokens": 0, "truncated": False}
_OPTIONAL: dict[str, tuple[Callable[[Any], Any], str]] = {
    "text": (_any_text, "a text"),
    "thoughts": (_count, "a count of at least 0"),
    "answer_tokens": (_count, "a count of at least 0"),
    "truncated": (_bool, "true or false"),
    "reward": (_reward, "a number or null"),
    "step_rewards": (_step_rewards, "a list of numbers or nulls"),
}

"""Candidates made by any other program, as JSON Lines.

One JSON object a line, one line a question:

    {"id": "7", "question": "What is 2 + 3?", "gold": "5",
     "candidates": [{"answer": "5", "text": "2 + 3 = 5", "reward": 0.9}, {"answer": null}]}

`id` is the question's name, unique in the file; `gold` the right answer, a number unless another
judge is asked for; `question` may be left out. Each candidate needs its `answer`, null where it
has none; it may have `text`, `reward` and `step_rewards` (numbers, a list of these; null, NaN and
what float64 cannot hold are scores that are no number), `thoughts` and `answer_tokens` (counts),
and `truncated` (true where a limit cut it off). Ids, gold answers and answers may be given as
numbers or as texts. Candidates stand in the order in which they were sampled: tied votes go to the
earliest. Other fields are ignored, blank lines too.
"""

import json
import math
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Annotated

import msgspec

from ...tasks import Candidate, Pool, Question, find_judge
from ..errors import ResultsError
from .line import COUNTED, Count, PoolLine, read_gold, refuse_repeated

_EXAMPLE = '{"id": "7", "gold": "5", "candidates": [{"answer": "5"}, {"answer": null}]}'
_NO_NUMBER = re.compile(rb'"(?:[^"\\]|\\.)*"|-?\b(?:NaN|Infinity)\b')


class _Candidate(msgspec.Struct):
    answer: object
    text: str | msgspec.UnsetType = msgspec.UNSET
    reward: object = msgspec.UNSET
    step_rewards: list[object] | None = None
    thoughts: Count | msgspec.UnsetType = msgspec.UNSET
    answer_tokens: Count | msgspec.UnsetType = msgspec.UNSET
    truncated: bool | msgspec.UnsetType = msgspec.UNSET


class _Line(msgspec.Struct):
    id: object
    gold: object
    candidates: Annotated[list[_Candidate], msgspec.Meta(min_length=1)]
    question: str = ""


# What is no text stays digit for digit: 0.1 must not become a binary fraction.
_LINE = msgspec.json.Decoder(_Line, float_hook=Decimal)


def read_pools(file: Path, judge: str = "number") -> list[PoolLine]:
    """Read a pool file.

    Args:
        file: the pools.
        judge: the name of the judge of its answers.

    Raises:
        ResultsError: a line is not JSON, lacks a field or has one of the wrong kind, with file,
            line and field named; an id comes twice; or there is no line.
    """
    lines: list[PoolLine] = []
    for where, text in _lines(file):
        try:
            line = _read_line(_decode(text), where, judge)
        except msgspec.ValidationError as error:
            raise ResultsError(f"{where}: {error}. Expected {_EXAMPLE}") from error
        except (ValueError, RecursionError) as error:
            raise ResultsError(f"{where} {_trouble(text, error)}") from error
        lines.append(line)
    refuse_repeated(
        lines,
        called="'id'",
        advice="Give every question one of its own, and all its candidates in one line.",
    )
    if not lines:
        raise ResultsError(f"{file} holds no pools. Expected a line a question: {_EXAMPLE}")
    return lines


def _lines(file: Path) -> Iterator[tuple[str, bytes]]:
    content = file.read_bytes().removeprefix(b"\xef\xbb\xbf")
    try:
        content.decode()
    except UnicodeDecodeError as error:
        raise ResultsError(f"{file} is not UTF-8 text ({error}). Save it as UTF-8.") from error
    for number, line in enumerate(content.split(b"\n"), start=1):
        if line.strip():
            yield f"{file}:{number}", line


def _decode(line: bytes) -> _Line:
    try:
        return _LINE.decode(line)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        return _LINE.decode(without_nan(line))


def without_nan(content: bytes) -> bytes:
    """Return JSON with null for NaN and Infinity, which JSON does not know and programs write."""
    return _NO_NUMBER.sub(lambda m: m[0] if m[0].startswith(b'"') else b"null", content)


def _trouble(line: bytes, error: Exception) -> str:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return f"is not JSON ({error}); was it cut off? Expected a line a question: {_EXAMPLE}"
    return (
        "holds half of a character, which cannot be stored. It may have been cut in two; write the "
        "whole one, or leave it out."
    )


def _read_line(line: _Line, where: str, judge: str) -> PoolLine:
    key = (as_text(line.id, "$.id") or "").strip()
    gold = read_gold(as_text(line.gold, "$.gold"), judge)
    if not key:
        raise msgspec.ValidationError("`id` must be a text or number with something in it")
    if gold is None:
        raise msgspec.ValidationError(
            f"`gold` is {line.gold!r}, but must be a number, such as 5 or '-1234.5'"
            if judge == "number"
            else f"`gold` is {line.gold!r}, but must be {find_judge(judge).golds}"
        )
    counted = frozenset(
        name
        for name in COUNTED
        if all(getattr(one, name) is not msgspec.UNSET for one in line.candidates)
    )
    pool = Pool(tuple(_candidate(one, i) for i, one in enumerate(line.candidates)))
    return PoolLine(where, Question(id=key, text=line.question, gold=gold), pool, counted)


def _candidate(row: _Candidate, index: int) -> Candidate:
    place = f"$.candidates[{index}]"
    answer = as_text(row.answer, f"{place}.answer")
    steps = row.step_rewards
    return Candidate(
        text=(answer or "") if row.text is msgspec.UNSET else row.text,
        answer=answer or None,
        thoughts=row.thoughts or 0,
        answer_tokens=row.answer_tokens or 0,
        truncated=bool(row.truncated),
        reward=None if row.reward is msgspec.UNSET else _reward(row.reward, place),
        step_rewards=None if steps is None else tuple(_reward(step, place) for step in steps),
    )


def as_text(value: object, place: str) -> str | None:
    """Return a text or a number as text, None for null.

    Raises:
        msgspec.ValidationError: it is something else; `place` says where it stands.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal | None):
        raise msgspec.ValidationError(f"Expected a text or a number - at `{place}`")
    return None if value is None else str(value)


def _reward(value: object, place: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | Decimal | None):
        raise msgspec.ValidationError(f"Expected a number or null as reward - at `{place}`")
    number = math.nan if value is None else float(Decimal(value))
    return number if math.isfinite(number) else math.nan

"""Candidates as LatentTTS and programs made from it dump them: one JSON object a run.

    {"meta": {"seed": 42, "num_return_sequences": 16, …},
     "examples": [{"idx": 0, "gold": 18.0, "answers": ["22.0", "inf"], "corrects": [false, false],
                   "scores": [-17.8, -20.1], …}, …]}

Answers are numbers as texts, "inf" where none was read; `scores` are a reward model's. Other fields
are ignored.
"""

import math
from decimal import Decimal
from pathlib import Path
from typing import Annotated

import msgspec

from ...tasks import Pool, Question, canonical, is_correct
from ..errors import ResultsError
from .line import Imported, PoolLine, refuse_repeated, stated
from .pools import as_text, without_nan

_EXAMPLE = '{"meta": {…}, "examples": [{"idx": 0, "gold": 18.0, "answers": ["22.0", "inf"]}, …]}'
_NO_ANSWER = {"inf", "-inf", "nan", "none", ""}


class _Example(msgspec.Struct):
    idx: int | str
    gold: object
    answers: Annotated[list[object], msgspec.Meta(min_length=1)]
    corrects: list[bool] | None = None
    scores: list[float | None] | None = None
    question: str = ""


class _Meta(msgspec.Struct):
    seed: int | None = None


class _Dump(msgspec.Struct):
    examples: Annotated[list[_Example], msgspec.Meta(min_length=1)]
    meta: _Meta = msgspec.field(default_factory=_Meta)


_DUMP = msgspec.json.Decoder(_Dump, float_hook=Decimal)


def is_dump(file: Path) -> bool:
    """Return whether a file begins as a dump does."""
    with file.open("rb") as stream:
        start = stream.read(1 << 16).lstrip()
    return start.startswith(b"{") and (b'"examples"' in start or b'"meta"' in start)


def read_dump(file: Path, *, tolerance: Decimal = Decimal(0)) -> Imported:
    """Read a dump: its questions in order, and the seed that it names.

    Args:
        file: the dump.
        tolerance: the largest difference from the gold answer that counts as right.

    Raises:
        ResultsError: not such a file; an index that comes twice; lists of unequal length; or an
            answer that the dump calls right and that is not the gold number, or the reverse.
    """
    try:
        dump = _DUMP.decode(without_nan(file.read_bytes()))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ResultsError(f"{file}: {error}. Expected {_EXAMPLE}") from error
    try:
        lines = [
            _line(one, f"{file}, example {i}", tolerance) for i, one in enumerate(dump.examples)
        ]
    except msgspec.ValidationError as error:
        raise ResultsError(f"{error}. Expected {_EXAMPLE}") from error
    refuse_repeated(lines, called="idx", advice="Give every question one of its own.")
    return Imported(lines, seed=dump.meta.seed)


def _line(one: _Example, where: str, tolerance: Decimal) -> PoolLine:
    count = len(one.answers)
    for name in ("corrects", "scores"):
        given = getattr(one, name)
        if given is not None and len(given) != count:
            raise ResultsError(f"{where}: {len(given)} {name} for {count} answers.")
    gold = canonical(as_text(one.gold, f"gold of {where}"))
    if gold is None:
        raise ResultsError(f"{where}: gold is {one.gold!r}, which is no number.")
    answers = [_answer(each, where) for each in one.answers]
    for answer, correct in zip(answers, one.corrects or (), strict=False):
        right = is_correct(answer, gold, tolerance=tolerance)
        if correct != right:
            called = "wrong" if right else "right"
            raise ResultsError(
                f"{where}: answer {answer!r} is called {called} where gold is {gold}. This project "
                "would judge it otherwise, so its numbers "
                "would not be the dump's: give the dump's own --tolerance, or take `corrects` out "
                "to have it judge anew."
            )
    scores = None
    if one.scores is not None:
        scores = [math.nan if score is None else float(score) for score in one.scores]
    question = Question(id=str(one.idx), text=one.question, gold=gold)
    return PoolLine(where, question, Pool(stated(answers, scores)))


def _answer(value: object, where: str) -> str | None:
    text = (as_text(value, f"answers of {where}") or "").strip()
    return None if text.lower() in _NO_ANSWER else text

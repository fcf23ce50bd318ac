"""What an answer means, and whether it is right.

docs/answers.md states the rule. Numbers are exact decimals (`latent_tts.numerals`).
"""

import re
from collections.abc import Sequence
from decimal import Context, Decimal, InvalidOperation
from functools import lru_cache

from ..boxes import boxed
from ..numerals import (
    CURRENCY,
    MAX_DIGITS,
    MAX_TEXT,
    SHORT_UNIT,
    canonical,
    last_number,
    numerals,
)
from .errors import TaskError

__all__ = ["canonical", "is_correct", "last_number", "read_number", "read_tolerance", "vote_keys"]

_EXACT = Context(prec=2 * MAX_DIGITS + 2)  # enough for any difference of two canonical numbers

_MARKUP = re.compile(
    r"\\(?:text|mathrm|textbf|mathbf|textit|mbox|fbox|left|right|quad|displaystyle)\b"
    r"|\\[()\[\];:! ]|\\,(?![0-9])|\^\s*\{?\s*\\circ\s*\}?|\\degree\b"
    r"|<\|[^<>|]{1,40}\|>|<br\s*/?>"
)
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff]")
_GROUP = re.compile(r"(?<![\w^\\}])\{\s*([+-]?[0-9.,]*)\s*\}")  # LaTeX's braces around a number
_EMPHASIS = re.compile(r"(?<!\w)([*_]{1,3}|`)(?=\S)(.*?)(?<=\S)\1(?!\w)")
_UNIT_POWER = re.compile(r"(?<=[a-zA-Z}])\s*(?:\^\s*\{?[23]\}?|[\u00b2\u00b3])")
_WORDS = re.compile(
    r"(?:[^\W\d_]|[\s.,:;!?'\"\u2018-\u201f\u00ab\u00bb()\[\]{}#~%\u00b0$-]|(?<=\w)/(?=\w))*"
)
# Words with which a number is not the one that stands there.
_OTHERWISE = re.compile(
    r"\b(?:and|or|not|than|least|most|between|half|halves|quarters?|thirds?|twice|double|dozens?|"
    r"plus|minus|negative|squared|cubed|root|sqrt|log|ln|sin|cos|tan|pi|factorial|hundreds|"
    r"thousands?|millions?|billions?)\b",
    re.IGNORECASE,
)
# What changes a number from right before it: a bound, a part of it, a sign of what is in brackets.
_BEFORE = re.compile(
    r"(?:\b(?:under|over|above|below|beyond|exceed(?:s|ed|ing)?|up\s+to|within|almost|nearly|until|"
    r"point|neg|zero|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\w+teen|"
    r"(?:twen|thir|for|fif|six|seven|eigh|nine)ty)\W*|[-\u2010-\u2013\u2212]\s*[(\[{~][\s(\[{~]*)$",
    re.IGNORECASE,
)
# And from right after it.
_AFTER = re.compile(
    r"\s*(?:[MBKT]\b|(?i:bn|bil|mil|mio|mn|tn|trn|tenths?|\w+dths?|score|gross|below|under)\b)"
)
_INEQUALITY = re.compile(r"[<>!~]=|=<|=\s*/\s*=")
_TWO = re.compile(r"(?:[,;]|\bor\b|\band\b)\s*[^\W\d_]\w*\s*$", re.IGNORECASE)  # x = 3, y = 5


@lru_cache(maxsize=1 << 16)  # a pool's candidates give few different answers
def read_number(answer: str | None) -> str | None:
    r"""Return the number that an answer states, or None where it states none or several.

    The answer is what stands in its last `\boxed{}`, or after its last equals sign, or all of it.
    Emphasis, LaTeX's text commands, words and units around one number are dropped: '**18**',
    'x = 18', '18 dollars', '\boxed{18}', 'The answer is -5.', '3 million'. Not a number: two of
    them, expressions ('1/2', '2x', '\sqrt{2}', '2^10'), bounds ('> 5', 'at least 5'), and words
    that change a number ('2 dozen', '1 and a half').

    Args:
        answer: as a backbone or a pattern read it from a text; None where there was none.

    Returns:
        As `canonical`.
    """
    if answer is None or len(answer) > MAX_TEXT:
        return None
    plain = canonical(answer)
    if plain is not None:
        return plain
    text = _core(answer)
    found = list(numerals(text))
    if len(found) != 1 or found[0].number is None or found[0].joined:
        return None
    before, after = text[: found[0].start], text[found[0].end :]
    if _BEFORE.search(before) or _AFTER.match(after):
        return None
    if re.match(r"m\b", after) and re.search(CURRENCY, text):  # $1.5m
        return None
    if not _WORDS.fullmatch(before) or not _WORDS.fullmatch(after) or before[-1:].isalpha():
        return None
    if re.search(r"\w\($", before):  # f(2)
        return None
    around = f"{before} | {after}"
    letters = re.findall(r"\b[^\W\d_]\b", after)
    if _OTHERWISE.search(around) or not all(map(SHORT_UNIT.fullmatch, letters)):  # 2 x
        return None
    if after.strip() == "!" and not before.strip():  # 5! may be a factorial
        return None
    return found[0].number


def _core(answer: str) -> str:
    """Return the part of an answer that states it, without markup."""
    box = boxed(answer)
    if box is not None and re.search(r"[-\u2212]\s*\\boxed", answer):
        return ""
    text = _INVISIBLE.sub("", box or answer)
    text = _INEQUALITY.sub("\u2264", re.sub(r"\\([%$#&])", r"\1", text))
    sides = re.split(r"=|\u2248|\\approx", text)
    if any(map(_TWO.search, sides[1:-1])):
        return ""
    text = next((side for side in reversed(sides) if re.search("[0-9]", side)), "")
    text = _EMPHASIS.sub(r"\2", _EMPHASIS.sub(r"\2", _MARKUP.sub(" ", text)))
    text = _GROUP.sub(r"\1", re.sub(r"\{\s*([-\u2212])\s*\}", r"\1", text))
    return _UNIT_POWER.sub("", text).strip()


def final_answer(text: str, *, number: bool = True) -> str | None:
    r"""Return what an explanation ends in: the one rule for texts of other models.

    What stands in the last `\boxed{}`; else after the last `####`, to the end of its line; else
    the last number, or, where answers need not be numbers, the last line. A model that was not
    stopped goes on with a question of its own, which ends the text.
    """
    text = _own_part(text)
    _, hashes, tail = text.rpartition("####")
    line = tail.strip().partition("\n")[0].strip() if hashes else None
    last = last_number(text) if number else text.strip().rpartition("\n")[2].strip() or None
    return boxed(text) or line or last


_NEXT = re.compile(r"\n\W*(?:question|problem|q|user|human|instruction)\b\s*\d*\W*:", re.IGNORECASE)
_ANSWERED = re.compile(r"####|\\boxed|\banswer\b[^\n]{0,60}[0-9]", re.IGNORECASE)


def _own_part(text: str) -> str:
    """Return a text up to the question that follows its answer, where one does."""
    for found in _NEXT.finditer(text):
        before = text[: found.start()]
        if _ANSWERED.search(before):
            return before
    return text


def is_correct(answer: str | None, gold: str | None, *, tolerance: Decimal = Decimal(0)) -> bool:
    """Tell whether an answer states the gold number, up to a tolerance.

    The tolerance is absolute; for a gold number between -1 and 1, but for 0, it is relative, since
    an absolute one would make 0 right for all small numbers.

    Args:
        answer: the answer as text, see `read_number`; None is wrong.
        gold: the right answer as text; where it is not a number, every answer is wrong.
        tolerance: the largest difference that still counts as equal, not negative.

    Returns:
        Whether both are numbers and |answer - gold| <= tolerance * min(1, |gold|), or <= tolerance
        where gold is 0; in exact arithmetic.
    """
    given, wanted = read_number(answer), canonical(gold)
    if given is None or wanted is None:
        return False
    if given == wanted:
        return True
    size = Decimal(wanted).copy_abs()
    allowed = tolerance if wanted == "0" or size >= 1 else _EXACT.multiply(tolerance, size)
    return _EXACT.subtract(Decimal(given), Decimal(wanted)).copy_abs() <= allowed


def vote_keys(answers: Sequence[str | None]) -> tuple[str | None, ...]:
    """Return what each answer of a pool counts as in a vote.

    Where any answer is a number, numbers vote by their value and nothing else votes. Where none is
    (LaTeX, words), texts vote. An answer that was not found never votes.

    Args:
        answers: those read from the candidates of one question, None where none was found.

    Returns:
        For each answer the canonical number, or the text without surrounding space; None for what
        does not vote.
    """
    numbers = tuple(read_number(answer) for answer in answers)
    if any(number is not None for number in numbers):
        return numbers
    return tuple((answer or "").strip() or None for answer in answers)


def read_tolerance(value: object) -> Decimal:
    """Read a tolerance from a task's settings.

    Args:
        value: a number, or a number as text.

    Returns:
        The tolerance, exactly as it was written.

    Raises:
        TaskError: it is not a finite number of at least 0.
    """
    try:
        tolerance = Decimal(str(value))
    except InvalidOperation:
        tolerance = Decimal("nan")
    if isinstance(value, bool) or not tolerance.is_finite() or tolerance < 0:
        raise TaskError(
            f"tolerance is {value!r}; it must be a number of at least 0, the largest "
            "difference that still counts as right, such as 0 or 0.001."
        )
    return tolerance

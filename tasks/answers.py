"""Reading answers as exact decimals and comparing them.

A number is kept as the one plain decimal text that means it ('18', '-0.5'), so equal answers are
equal strings, no binary rounding takes part, and infinity cannot arise. Fractions such as '1/2'
are not numbers here: most of them have no finite decimal.
"""

import re
from collections.abc import Sequence
from decimal import Context, Decimal, InvalidOperation
from functools import lru_cache

from .errors import TaskError

MAX_DIGITS = 100
"""Digits a number may need, written out plainly; anything longer counts as unparsed."""

_MAX_TEXT = 300  # characters; bounds the work done on arbitrary model output
_EXACT = Context(prec=2 * MAX_DIGITS + 2)  # enough for any difference of two canonical numbers

_MINUS_SIGNS = str.maketrans(dict.fromkeys("\u2212\u2013\uff0d\ufe63", "-"))
_CURRENCY = r"(?:\\?[$\u00a2-\u00a5\u20a0-\u20c0])"  # LaTeX writes \$

# Space is matched possessively (*+): else a '-' and 300 spaces would be tried in a billion ways.
_NUMBER = re.compile(
    rf"(?:(?P<sign>[+-]?)\s*+(?:{_CURRENCY}\s*+)?|{_CURRENCY}\s*+(?P<late_sign>[+-]?)\s*+)"
    r"(?P<whole>[0-9]{1,3}(?:,[0-9]{3})+|[0-9]*)(?:\.(?P<part>[0-9]*))?"
    r"(?:[eE](?P<power>[+-]?[0-9]+))?"
    rf"\s*+(?:(?:\\?%|{_CURRENCY})\s*+)?\.?"
)

_NUMBER_IN_TEXT = re.compile(
    rf"(?:(?<![\w)])[-\u2212])?{_CURRENCY}?"  # a minus after a word or a bracket subtracts
    r"(?:[0-9]+(?:,[0-9]{3}(?![0-9]))*(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
)


def canonical(text: str | None) -> str | None:
    """Return the plain decimal that an answer means, or None where it is not one number.

    Surrounding space, a currency sign, commas between thousands, a percent sign and a final full
    stop are dropped (50% is '50'), zeros that say nothing too: '$1,200.50' -> '1200.5',
    '1e3' -> '1000', '.5' -> '0.5', '-0' -> '0'. Not numbers: words, units, 'inf', 'nan', '1/2',
    '12,34', and numbers that need more than `MAX_DIGITS` digits.

    Args:
        text: any text, or None for an answer that was not found.

    Returns:
        The number without exponent, plus sign or superfluous zeros; or None.
    """
    return None if text is None or len(text) > _MAX_TEXT else _read_number(text)


@lru_cache(maxsize=1 << 16)  # a pool's candidates give few different answers
def _read_number(text: str) -> str | None:
    match = _NUMBER.fullmatch(text.strip().translate(_MINUS_SIGNS))
    if match is None:
        return None
    whole = match["whole"].replace(",", "")
    part = match["part"] or ""
    if not whole and not part:
        return None
    negative = "-" in (match["sign"], match["late_sign"])
    plain = _plain(digits=whole + part, exponent=int(match["power"] or 0) - len(part))
    return "-" + plain if negative and plain not in (None, "0") else plain


def _plain(*, digits: str, exponent: int) -> str | None:
    """Write digits × 10^exponent out, or return None where that takes too many digits."""
    significant = digits.rstrip("0")
    exponent += len(digits) - len(significant)
    significant = significant.lstrip("0")
    if not significant:
        return "0"
    # Checked before anything is written out: '1e999999999' must not become a gigabyte.
    if len(significant) + max(exponent, 0) > MAX_DIGITS or -exponent > MAX_DIGITS:
        return None
    if exponent >= 0:
        return significant + "0" * exponent
    padded = significant.rjust(1 - exponent, "0")
    return f"{padded[:exponent]}.{padded[exponent:]}"


def is_correct(answer: str | None, gold: str | None, *, tolerance: Decimal = Decimal(0)) -> bool:
    """Tell whether an answer equals the gold number, up to an absolute tolerance.

    Args:
        answer: the answer as text, canonical or not; None is wrong.
        gold: the right answer as text; where it is not a number, every answer is wrong.
        tolerance: the largest difference that still counts as equal, not negative.

    Returns:
        Whether both are numbers and |answer - gold| <= tolerance, in exact arithmetic.
    """
    given, wanted = canonical(answer), canonical(gold)
    if given is None or wanted is None:
        return False
    if given == wanted:
        return True
    difference = _EXACT.subtract(Decimal(given), Decimal(wanted))
    return difference.copy_abs() <= tolerance  # abs() would round


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
    numbers = tuple(canonical(answer) for answer in answers)
    if any(number is not None for number in numbers):
        return numbers
    return tuple((answer or "").strip() or None for answer in answers)


def last_number(text: str) -> str | None:
    """Return the last number in a text, as it stands there, or None.

    Args:
        text: any text, such as an explanation that ends in its answer.

    Returns:
        The number with its currency sign and commas; `canonical` reads it.
    """
    found = None
    for found in _NUMBER_IN_TEXT.finditer(text):  # noqa: B007 - the last one is wanted
        pass
    return None if found is None else found.group()


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
            f"tolerance is {value!r}; it must be a number of at least 0, the largest absolute "
            "difference that still counts as right, such as 0 or 0.001."
        )
    return tolerance

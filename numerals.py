"""The one reader of numbers: where they stand in a text, and which decimals they are.

docs/answers.md states the rule. A number is kept as the one plain decimal text that means it ('18',
'-0.5'), so equal numbers are equal texts, no binary rounding takes part, and infinity cannot arise.
What could mean several numbers ('12,34') or is an expression ('1/2', '2^10') is none.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

MAX_DIGITS = 100
"""Digits a number may need, written out plainly; anything longer is none."""

MAX_TEXT = 300
"""Characters an answer may have; bounds the work done on arbitrary model output."""

CURRENCY = r"(?:\\?(?:\b[A-Z]{1,3}(?=\$))?[$\u00a2-\u00a5\u20a0-\u20c0])"  # US$; LaTeX's \$
# Hyphens, en dash, minus; no em dash.
_SIGNS = "\u2010\u2011\u2012\u2013\u2212\u02d7\u2043\u207b\ufe63\uff0d"
_SPACES = "\u00a0\u2007\u2008\u2009"
_DIGITS = "".join(chr(zero + digit) for zero in (0xFF10, 0x0660, 0x06F0) for digit in range(10))
_ALIKE = str.maketrans(
    _SIGNS + _SPACES + _DIGITS + "\u02bc\uff0b",
    "-" * len(_SIGNS) + "\u202f" * len(_SPACES) + "0123456789" * 3 + "\u2019+",
)

_SEPARATOR = r"(?:[.,'\u2019\u202f]|\{,\}|,\\!|\\,)"
_EXPONENT = (
    r"(?:[eE](?P<e>[+-]?[0-9]{1,9})(?!\w)|\s*+(?:[×·x*]|\\times|\\cdot)\s*+10\s*+\^\s*+\{?\s*+"
    r"(?P<power>[+-]?[0-9]{1,9})(?![0-9])\}?"
    r"|\s*+[×·x*]\s*+10(?P<raised>-?[\u2070\u00b9\u00b2\u00b3\u2074-\u2079]{1,9})"
    r"|(?P<scale>(?:\s++(?i:hundred|million|billion|trillion|thousand)\b)++))"
)
_RAISED = str.maketrans(
    "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079", "0123456789"
)
_TERM = re.compile(
    r"\\[dt]?frac\s*+(?:\{[^{}]*+\}|[0-9])\s*+(?:\{[^{}]*+\}|[0-9])"
    r"|\\sqrt\s*+(?:\[[^\]]*+\])?\s*+(?:\{[^{}]*+\}|[0-9]+)"
    r"|[\u00bc-\u00be\u2150-\u215e]"  # vulgar fractions
    rf"|(?P<run>(?:(?<![.\w])\.)?[0-9](?:[0-9]|{_SEPARATOR}(?=[0-9]))*+){_EXPONENT}?"
    r"(?P<more>\s++(?i:dozen)\b|(?:\s*+[/^\u2044]\s*+[{(]?[+-]?[0-9.]++[})]?|\*\*[{(]?[+-]?[0-9.]++[})]?"
    r"|-?[\u2070\u00b9\u00b2\u00b3\u2074-\u2079]+|(?:[^\S\n][0-9]{3}(?:[.,][0-9]++)?(?![0-9]))+"
    r"|\s?[\u00bc-\u00be\u2150-\u215e])+)?"
)
# Of one number, its digits before and after the decimal sign.
_GROUPED = (
    re.compile(r"([0-9]*)(?:\.([0-9]*))?"),
    re.compile(r"([1-9][0-9]{0,2}(?:,[0-9]{3})+)(?:\.([0-9]*))?"),
    re.compile(r"([1-9][0-9]?(?:,[0-9]{2})+,[0-9]{3})(?:\.([0-9]*))?"),  # Indian
    re.compile(r"([1-9][0-9]{0,2}(?:\.[0-9]{3})+),([0-9]+)"),  # European
    re.compile(r"([1-9][0-9]{0,2}(?:\.[0-9]{3}){2,})()"),
    re.compile(r"([1-9][0-9]{0,2}(?:['\u2019\u202f][0-9]{3})+)(?:[.,]([0-9]+))?"),
)
_SCALES = {"hundred": 2, "thousand": 3, "million": 6, "billion": 9, "trillion": 12}
_BEFORE = re.compile(
    rf"(?P<early>[+-]|\b(?:minus|negative)\b)?\s*+(?P<currency>{CURRENCY})?\s*+(?P<late>[+-])?\s*+$",
    re.IGNORECASE,
)
_PART = re.compile(  # of a fraction, a power, a root, a name, a number that goes on before
    r"(?:[/^_\u221a\u2044]\s*[{(]?|\}\s*\{|[0-9][eE][+-]?|[0-9]\.\s*(?:\(|\\[a-z]+\s*\{)"
    r"|(?:^|(?<=\s))\u2014|[+-](?:[*_`]{1,3}|\\ |~|[({\[])+\s*)\s*$"
)
_UNIT = re.compile(r"[a-zA-Z}]\^\{?$")  # its power is no number of the text: 18 cm^2
_TIMES = re.compile(r"\s*(?:\\(?:pi|sqrt|[dt]?frac)|[\u03c0\u221a])|[a-zA-Z]{1,2}(?![a-zA-Z])")
SHORT_UNIT = re.compile(  # units that may touch their number
    "am|pm|th|st|nd|rd|s|h|m|g|l|c|f|cm|mm|km|kg|mg|lb|oz|ml|hr|ft|in|yd|mi|gb|mb|kb|hz|w|v", re.I
)
_STATES = re.compile("is|are|was|were|be|equals|equal|to|answer|result|total", re.I)


@dataclass(frozen=True)
class Numeral:
    """What a text has at one spot: a number, or an expression that is none.

    Attributes:
        start: index of its first character, sign and currency included.
        end: index after its last character.
        number: the plain decimal; None for an expression.
        joined: whether a plus, minus or hyphen joins it to what stands before.
    """

    start: int
    end: int
    number: str | None
    joined: bool = False


def numerals(text: str) -> Iterator[Numeral]:
    """Yield the numbers of a text, in order, and the expressions that are none."""
    text = text.translate(_ALIKE)  # which keeps all indices
    for found in _terms(text):
        yield _numeral(text, found)


def _terms(text: str) -> Iterator[re.Match[str]]:
    for found in _TERM.finditer(text):
        if not _UNIT.search(text[max(0, found.start() - 3) : found.start()]):
            yield found


def _numeral(text: str, found: re.Match[str]) -> Numeral:
    before = text[max(0, found.start() - 60) : found.start()]
    part, factor = _PART.search(before), _factor(text[found.end() : found.end() + 20])
    if found["run"] is None or found["more"] or part or factor:
        start = found.start() - (len(part[0]) if part else 0)
        return Numeral(start, found.end() + len(factor), None)
    length, negative, joined = _sign(before, one_line="\n" not in text.strip())
    power = sum(_SCALES[scale.lower()] for scale in (found["scale"] or "").split())
    raised = (found["raised"] or "").translate(_RAISED)
    number = _decimal(found["run"], power + int(found["e"] or found["power"] or raised or 0))
    if negative and number not in (None, "0"):
        number = f"-{number}"
    return Numeral(found.start() - length, found.end(), number, joined)


def canonical(text: str | None) -> str | None:
    """Return the plain decimal that a text is, or None where it is anything but one number.

    Surrounding space, a currency sign, signs between thousands, a percent sign and a final full
    stop are dropped (50% is '50'), zeros that say nothing too: '$1,200.50' -> '1200.5',
    '1e3' -> '1000', '.5' -> '0.5', '-0' -> '0', '1.234,50' -> '1234.5'. Not numbers: words, units,
    'inf', 'nan', '1/2', '12,34', and numbers that need more than `MAX_DIGITS` digits.

    Args:
        text: any text, or None for an answer that was not found.

    Returns:
        The number without exponent, plus sign or superfluous zeros; or None.
    """
    return None if text is None or len(text) > MAX_TEXT else _whole(text)


@lru_cache(maxsize=1 << 16)  # a pool's candidates give few different answers
def _whole(text: str) -> str | None:
    text = text.strip()
    found = list(numerals(text))
    if len(found) != 1 or found[0].start != 0:
        return None
    return found[0].number if _TAIL.fullmatch(text[found[0].end :]) else None


_TAIL = re.compile(rf"\.?\s*+(?:(?:\\?%|{CURRENCY})\s*+)?\.?")


def last_number(text: str) -> str | None:
    """Return the last number of a text as it stands there, or None.

    Args:
        text: any text, such as an explanation that ends in its answer.

    Returns:
        The number with its sign and currency, which `canonical` reads; where the text ends in an
        expression that is no number, such as '1/2', the expression.
    """
    alike, last = text.translate(_ALIKE), None
    for last in _terms(alike):  # noqa: B007 - the last one is wanted
        pass
    if last is None:
        return None
    found = _numeral(alike, last)
    return text[found.start : found.end].strip()


def _factor(after: str) -> str:
    """Return the letter or the root after a number that multiplies it, as in 2x and 2π; or ''."""
    found = _TIMES.match(after)
    return found[0] if found and not SHORT_UNIT.fullmatch(found[0]) else ""


def _sign(before: str, *, one_line: bool) -> tuple[int, bool, bool]:
    """Return how much of the text before a number is its sign, if it is negative, if it is joined.

    A minus belongs to a number unless it stands between two things (3-2, 3 - 2, x-5), or marks an
    item of a list of several lines.
    """
    found = _BEFORE.search(before)
    if found is None:
        return 0, False, False
    currency = len(before) - found.start("currency") if found["currency"] else 0
    name = "early" if found["early"] else "late"
    sign = found[name]
    if sign is None or (found["early"] and found["late"]):
        return currency, False, bool(sign)
    start, stop = found.span(name)
    spaced = before[stop : stop + 1].isspace() or len(sign) > 1
    role = _role(before[:start], spaced=spaced, one_line=one_line, negative=sign == "negative")
    if role != "sign":
        return (currency if name == "early" else 0), False, role == "operator"
    begin = min(start, found.start("currency")) if found["currency"] else start
    return len(before) - begin, sign != "+", False


def _role(before: str, *, spaced: bool, one_line: bool, negative: bool) -> str:
    """Return what a plus or minus is that stands after `before`: a sign, an operator or a mark."""
    bare = before.rstrip()
    if not before.rpartition("\n")[2].strip():
        return "sign" if one_line or not spaced else "mark"
    last, glued = bare[-1], bare == before
    if glued and (last.isalnum() or last in ")]}%°+-"):
        return "operator"
    if spaced and (last.isnumeric() or last in ")]}%°"):
        return "operator"
    if last.isalpha():
        word = re.split(r"[\W\d_]+", bare)[-1]
        if len(word) == 1 or (spaced and not negative and not _STATES.fullmatch(word)):
            return "operator"
    return "mark" if spaced and last in ".!?" else "sign"


def _decimal(run: str, power: int) -> str | None:
    for written in ("{,}", ",\\!"):
        run = run.replace(written, ",")
    run = run.replace("\\,", "\u202f")
    for pattern in _GROUPED:
        found = pattern.fullmatch(run)
        if found is not None:
            whole, part = re.sub(r"[^0-9]", "", found[1]), found[2] or ""
            return _plain(digits=whole + part, exponent=power - len(part))
    return None


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

"""Numbers as questions write them: digits, words, exact fractions."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

_UNITS = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
WORDS: dict[str, int] = {
    **{word: value for value, word in enumerate(_UNITS)},
    **{word: 10 * value for value, word in enumerate(_TENS, start=2)},
    "dozen": 12,
    "hundred": 100,
    "thousand": 1000,
    "million": 1_000_000,
}
"""Words that mean a number by themselves."""

# Ordinals and shares, which begin with the third.
_ORDINALS = [
    "third",
    "fourth",
    "fifth",
    "sixth",
    "seventh",
    "eighth",
    "ninth",
    "tenth",
    "eleventh",
    "twelfth",
]
_IMPLIED = {
    "twice|doubl(?:e|es|ed)|couples?|pairs?|both|twins?|pints?|bicycles?|bikes?|weekends?": (2,),
    "hal(?:f|ves)|halved?": (2, Fraction(1, 2)),
    "thrice|tripl(?:e|es|ed)|triplets?|yards?|triangles?|tricycles?": (3,),
    "quadrupl(?:e|es|ed)|gallons?|quarts?|squares?|seasons?": (4,),
    "quarter(?:s|ed)?": (4, 25, Fraction(1, 4)),
    "weekdays?|nickels?|pentagons?": (5,),
    "hexagons?|insects?": (6,),
    "octagons?|spiders?": (8,),
    "decades?|dimes?": (10,),
    "fortnights?": (14,),
    "pounds?|ounces?": (16,),
    "tons?": (2000,),
    "first": (1,),
    "seconds?|secondly": (2, 60),
    **{f"{word}s?": (value,) for value, word in enumerate(_ORDINALS, start=3)},
}
_IMPLIES = {re.compile(rf"\b(?:{words})\b", re.IGNORECASE): of for words, of in _IMPLIED.items()}

_DIGITS = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+"
_NUMBER = re.compile(
    rf"(?<![\w.,/:])(?P<digits>{_DIGITS})(?![\w/:]|[.,]\d)"  # no part of 3rd, 1/2, 3:15, 1.2.3
    rf"|\b(?P<word>{'|'.join(WORDS)})\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Number:
    """A number in a text.

    Attributes:
        start: index of its first character.
        end: index after its last.
        value: what it means.
        in_digits: whether it is written in digits.
        decimals: digits after the point.
    """

    start: int
    end: int
    value: Fraction
    in_digits: bool
    decimals: int


def numbers_in(text: str) -> Iterator[Number]:
    """Yield the numbers of a text in order; parts of fractions, times and ordinals are none."""
    for found in _NUMBER.finditer(text):
        written = (found["digits"] or "").replace(",", "")
        value = Fraction(written) if written else Fraction(WORDS[found["word"].lower()])
        decimals = len(written.partition(".")[2])
        yield Number(found.start(), found.end(), value, bool(written), decimals)


def unread(text: str) -> set[Fraction]:
    """Return the digits of a text that are in no number of `numbers_in`: of 1/2, 3:15 or 3rd."""
    known = [(number.start, number.end) for number in numbers_in(text)]
    return {
        Fraction(found[0])
        for found in re.finditer(r"\d+", text)
        if not any(start <= found.start() < end for start, end in known)
    }


def said_otherwise(text: str) -> set[Fraction]:
    """Return what a text says without a number: what is `unread`, and words such as "twice"."""
    said = unread(text)
    for words, values in _IMPLIES.items():
        if words.search(text):
            said |= set(map(Fraction, values))
    return said


def plain(value: Fraction) -> str | None:
    """Return a number as a plain decimal, or None where that has no end."""
    rest, decimals = value.denominator, 0
    while rest % 10 == 0:
        rest, decimals = rest // 10, decimals + 1
    for factor in (2, 5):
        while rest % factor == 0:
            rest, decimals = rest // factor, decimals + 1
    if rest != 1:
        return None
    sign = "-" if value < 0 else ""
    digits = str(abs(value) * 10**decimals).rjust(decimals + 1, "0")
    whole, part = digits[: len(digits) - decimals], digits[len(digits) - decimals :].rstrip("0")
    return f"{sign}{whole}.{part}" if part else f"{sign}{whole}"


def decimals_of(value: Fraction) -> int:
    """Return how many digits stand after the point of a number with a plain decimal."""
    return len((plain(value) or "").partition(".")[2])

"""Steps for questions that come with an answer alone: MAWPS, ASDiv."""

import operator
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from .equations import Equation
from .numbers import numbers_in, plain, unread

_SIGNS: dict[str, Callable[[Fraction, Fraction], Fraction]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}
_SUM = re.compile(r"\b(?:altogether|total|in all|both|combined|together)\b", re.IGNORECASE)
_MOST = 3  # numbers of a question; with more, too many computations give any answer
# Equal for all of these is equal as an expression: other values for the first, second, … number.
_OTHERS = (
    (Fraction(1009), Fraction(757), Fraction(13)),
    (Fraction(17), Fraction(5), Fraction(499)),
)


def search_steps(question: str, answer: str) -> tuple[str, ...] | None:
    """Return the one way to compute an answer from a question's numbers, in one or two steps.

    Args:
        question: its two or three numbers are used at most once each; where two are added up at
            the end, one of them twice.
        answer: a decimal.

    Returns:
        Equations such as `<<9+4=13>>`; None where nothing computes the answer with positive
        results, where two ways do that are different computations, or where the question has a
        fraction or a time in digits.
    """
    # "one" is seldom a number that is computed with.
    values = [n.value for n in numbers_in(question) if n.in_digits or n.value > 1]
    try:
        wanted = Fraction(answer)
    except (ValueError, ZeroDivisionError):
        return None
    if not 2 <= len(values) <= _MOST or unread(question):
        return None
    found = _distinct(_ways(len(values)), values, wanted)
    if not found and len(values) == 2 and _SUM.search(question):
        found = _distinct(_sums(), values, wanted)
    return found[0] if len(found) == 1 else None


def _distinct(
    candidates: Iterable[tuple["_Step", ...]], values: Sequence[Fraction], wanted: Fraction
) -> list[tuple[str, ...]]:
    """Return the ways to compute a number that are different computations."""
    ways: dict[tuple[Fraction | None, ...], tuple[str, ...]] = {}
    for way in candidates:
        steps = _write(way, values)
        if steps is not None and steps[-1].value == wanted:
            others = tuple(_result(way, other[: len(values)]) for other in _OTHERS)
            ways.setdefault(others, tuple(map(str, steps)))
    return list(ways.values())


@dataclass(frozen=True)
class _Step:
    """A sign between two numbers; index -1 is the result of the step before."""

    left: int
    sign: str
    right: int


def _ways(count: int) -> Iterator[tuple[_Step, ...]]:
    for left in range(count):
        for right in range(count):
            for sign in _SIGNS:
                if left == right or (sign in "+*" and left > right):
                    continue
                first = _Step(left, sign, right)
                yield (first,)
                for third in set(range(count)) - {left, right}:
                    for last in _SIGNS:
                        yield first, _Step(-1, last, third)
                        if last in "-/":
                            yield first, _Step(third, last, -1)


def _sums() -> Iterator[tuple[_Step, ...]]:
    """Yield the ways in which one has so many more, fewer or times as many, and both are added."""
    for first in _ways(2):
        if len(first) == 1:
            for kept in range(2):
                yield first[0], _Step(kept, "+", -1)


def _write(way: Sequence[_Step], values: Sequence[Fraction]) -> list[Equation] | None:
    """Return the equations of a way, None where a result is not positive or has no end."""
    steps: list[Equation] = []
    for step in way:
        left, right = (steps[-1].value if i < 0 else values[i] for i in (step.left, step.right))
        if step.sign == "/" and not right:
            return None
        value = _SIGNS[step.sign](left, right)
        texts = plain(left), plain(right), plain(value)
        if value <= 0 or None in texts:
            return None
        steps.append(Equation(f"{texts[0]}{step.sign}{texts[1]}", str(texts[2]), value))
    return steps


def _result(way: Sequence[_Step], values: Sequence[Fraction]) -> Fraction | None:
    result = Fraction(0)
    for step in way:
        left, right = (result if i < 0 else values[i] for i in (step.left, step.right))
        if step.sign == "/" and not right:
            return None
        result = _SIGNS[step.sign](left, right)
    return result

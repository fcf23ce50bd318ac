"""The numbers of a problem and the equations that lead to its answer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from .patterns import OPERATIONS, Pattern

Draw = Callable[[], float]
"""Gives the next uniform random number of [0, 1)."""

Bounds = tuple[int, int]
"""Smallest and largest number, both allowed."""


@dataclass(frozen=True)
class Scale:
    """How large the numbers are.

    Attributes:
        amount: bounds on what is had at first, added or taken away.
        factor: bounds on multipliers and prices.
        group: bounds on both numbers of "so many boxes of so many".
        divisor: bounds on divisors.
        limit: the largest result of any step.
    """

    amount: Bounds
    factor: Bounds
    group: Bounds
    divisor: Bounds
    limit: int


EASY: Final = Scale(amount=(2, 12), factor=(2, 3), group=(2, 4), divisor=(2, 4), limit=30)
HARD: Final = Scale(amount=(13, 40), factor=(2, 5), group=(4, 9), divisor=(2, 5), limit=150)
TRAIN: Final = Scale(amount=(2, 20), factor=(2, 5), group=(2, 9), divisor=(2, 5), limit=100)
TRAIN_HARD: Final = Scale(amount=(11, 99), factor=(3, 9), group=(6, 20), divisor=(2, 9), limit=999)

_TRIES: Final = 30


@dataclass(frozen=True)
class Worked:
    """A problem's numbers.

    Attributes:
        numbers: those in the text, in the order of the text.
        steps: the equations, such as `<<24-9=15>>`.
        answer: the result of the last step.
    """

    numbers: tuple[int, ...]
    steps: tuple[str, ...]
    answer: int


def draw_numbers(draw: Draw, patterns: Sequence[Pattern], scale: Scale) -> Worked | None:
    """Draw numbers until every result is whole, at least 2 and at most the scale's limit.

    Args:
        draw: the source of randomness.
        patterns: the sentences of the problem, in order.
        scale: how large the numbers are.

    Returns:
        The numbers with the steps they lead to, or None where many draws found none: some orders
        of sentences leave little room below the limit.
    """
    for _ in range(_TRIES):
        worked = _try_numbers(draw, patterns, scale)
        if worked is not None:
            return worked
    return None


def _try_numbers(draw: Draw, patterns: Sequence[Pattern], scale: Scale) -> Worked | None:
    """Draw numbers once; None where a result would break the rules."""
    numbers: list[int] = []
    steps: list[str] = []
    result = before = 0

    def step(left: int, sign: str, right: int) -> int:
        value = _CALCULATE[sign](left, right)
        steps.append(f"<<{left}{sign}{right}={value}>>")
        return value

    for pattern in patterns:
        operation = OPERATIONS[pattern.kind]
        if not operation:
            continue
        if operation == "total":
            result = step(before, "+", result)
        elif operation == "=":
            result = _between(draw, scale.amount)
            numbers.append(result)
        elif operation in ("+nm", "-nm"):
            numbers += [_between(draw, scale.group), _between(draw, scale.group)]
            result = step(result, operation[0], step(numbers[-2], "*", numbers[-1]))
        elif operation in ("n*m", "n+m", "n-m"):
            bounds = scale.group if operation == "n*m" else scale.amount
            numbers += [_between(draw, bounds), _between(draw, bounds)]
            result = step(numbers[-2], operation[1], numbers[-1])
        else:
            sign = operation[0]
            operand = pattern.fixed or _draw_operand(draw, sign, result, scale)
            if operand is None or (sign == "/" and result % operand):
                return None
            if not pattern.fixed:
                numbers.append(operand)
            before, result = result, step(result, sign, operand)
        if not 2 <= result <= scale.limit:
            return None
    return Worked(tuple(numbers), tuple(steps), result)


_CALCULATE: Final[dict[str, Callable[[int, int], int]]] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "/": lambda left, right: left // right,
}


def _draw_operand(draw: Draw, sign: str, result: int, scale: Scale) -> int | None:
    """Draw what to add, take away, multiply by or divide by; None where nothing fits."""
    if sign == "/":
        low, high = scale.divisor
        divisors = [n for n in range(low, min(high, result // 2) + 1) if result % n == 0]
        return divisors[int(draw() * len(divisors))] if divisors else None
    low, high = scale.factor if sign == "*" else scale.amount
    if sign == "-":
        high = min(high, result - 2)
    elif sign == "*":
        high = min(high, scale.limit // result)
    return _between(draw, (low, high)) if low <= high else None


def _between(draw: Draw, bounds: Bounds) -> int:
    low, high = bounds
    return low + int(draw() * (high - low + 1))

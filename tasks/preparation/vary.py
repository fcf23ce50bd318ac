"""The same question with other numbers: every step computed again."""

import random
import re
from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import zip_longest

from ..solved import Solved
from .equations import Equation, compute, read_equation
from .numbers import WORDS, Number, decimals_of, numbers_in, plain, said_otherwise

_TRIES = 200
_OPERAND = re.compile(r"(?<![\d.])(?:\d+(?:\.\d+)?|\.\d+)")
_ONE_OF = re.compile(r"(?<![\d.])1/(\d+(?:\.\d+)?)")
# What makes "2 1/2", "2 and a half" and "5 thousand" other numbers than the one in digits.
_GOES_ON = re.compile(
    r"\s*(?:\d+\s*[/\u2044]\s*\d|[\u00bc-\u00be]|and a (?:half|third|quarter)\b"
    rf"|-?(?:{'|'.join(WORDS)})\b)",
    re.IGNORECASE,
)
_YEARS = range(1900, 2101)
# Minutes of an hour and their like: a step may mean the unit where a question has the number, too.
_UNITS = frozenset({7, 12, 24, 30, 52, 60, 100, 365, 1000})

# An operand is a number of the question, a result of an earlier step (its index), or a constant.
_Operand = Fraction | int | str


def vary(solved: Solved, *, seed: int, variant: int) -> Solved | None:
    """Return a question with other numbers, or None where no consistent one is found.

    Numbers in digits that a step uses are replaced, the same number by the same; every step is
    computed again. Results stay positive and whole where they were, and get no more decimals.
    Where it cannot be told what a step's number stands for (a number of the question that is also
    an earlier result, one that a word such as "twice" may mean, a constant that may come from a
    percentage), there is no variant.

    Args:
        solved: a question whose steps are equations that hold, the last of them the answer.
        seed: of the choice.
        variant: number of the variant; each is drawn anew from seed, question and this number.
    """
    steps = [read_equation(step) for step in solved.steps]
    chain = [step for step in steps if step is not None and step.holds]
    if not chain or len(chain) != len(steps) or solved.answer != plain(chain[-1].value):
        return None
    written = list(numbers_in(solved.question))
    operands = _operands(chain, written, solved.question)
    if operands is None:
        return None
    used = {operand for step in operands for operand in step if isinstance(operand, Fraction)}
    moved = [n for n in written if n.in_digits and n.value in used]
    if not moved:
        return None
    stream = random.Random(f"{seed}/{variant}/{solved.question}")
    for _ in range(_TRIES):
        new = {number.value: _other(number, solved.question, stream) for number in moved}
        made = _compute(chain, operands, new)
        if made is not None and any(new[value] != value for value in new):
            text = _rewrite(solved.question, moved, new)
            answer = made[-1].right
            return Solved(question=text, steps=tuple(map(str, made)), answer=answer)
    return None


def _operands(
    chain: Sequence[Equation], written: Sequence[Number], question: str
) -> list[list[_Operand]] | None:
    """Return what each number of each step stands for, None where that is not certain."""
    movable = [number for number in written if number.in_digits and _may_move(number, question)]
    in_digits = {number.value for number in movable}
    fixed = {number.value for number in written if number not in movable}
    unsure = fixed | said_otherwise(question)
    results: dict[Fraction, int] = {}
    found: list[list[_Operand]] = []
    for index, step in enumerate(chain):
        row: list[_Operand] = []
        if any(Fraction(text) in in_digits for text in _ONE_OF.findall(step.left)):
            return None  # 1/20 may be 5 per cent, or a twentieth that the question has in words
        for text in _OPERAND.findall(step.left):
            value = Fraction(text)
            if value in results and value in in_digits | unsure:
                return None
            if value in in_digits and value in unsure:
                return None
            if value in results:
                row.append(results[value])
            else:
                row.append(value if value in in_digits else text)
        found.append(row)
        if step.value in results:
            return None  # two steps with one result: a later operand may be either
        results[step.value] = index
    constants = {Fraction(one) for row in found for one in row if isinstance(one, str)}
    moving = {one for row in found for one in row if isinstance(one, Fraction)}
    staying = {number.value for number in written} - moving
    hidden = (constants - fixed) | (staying & in_digits)
    return None if _derived(moving | results.keys()) & hidden else found


def _derived(values: set[Fraction]) -> set[Fraction]:
    """Return what may have been made of numbers without a step: of 20%, 0.2 and 0.8 and 80."""
    made = set()
    for one in values:
        share = one / 100
        made |= {share, 1 - share, 1 + share, 100 - one, 100 + one, one - 1, one + 1}
        for other in values:
            made |= {one + other, one - other, one * other}
    return made - {Fraction(1)}


def _may_move(number: Number, question: str) -> bool:
    if _GOES_ON.match(question, number.end):
        return False
    return bool(number.decimals) or (
        number.value > 1 and number.value not in _UNITS and number.value not in _YEARS
    )


def _other(number: Number, question: str, stream: random.Random) -> Fraction:
    """Return a number of the same kind, between half and twice as large."""
    scale = 10**number.decimals
    size = int(number.value * scale)
    least, most = max(2 if scale == 1 else 1, size // 2), 2 * size + 1
    if question[number.end :].lstrip().startswith(("%", "percent")):
        most = min(most, max(size, 99 * scale))
    return Fraction(least + int(stream.random() * (most - least + 1)), scale)


def _compute(
    chain: Sequence[Equation],
    operands: Sequence[Sequence[_Operand]],
    new: Mapping[Fraction, Fraction],
) -> list[Equation] | None:
    made: list[Equation] = []
    for step, row in zip(chain, operands, strict=True):
        given = [_write(one, made, new) for one in row]
        between = _OPERAND.split(step.left)
        left = "".join(map("".join, zip_longest(between, given, fillvalue="")))
        value = compute(left)
        right = None if value is None else plain(value)
        if value is None or right is None or not _like(value, step.value):
            return None
        made.append(Equation(left, right, value))
    return made


def _like(new: Fraction, old: Fraction) -> bool:
    return (
        (new > 0) == (old > 0) and (new == 0) == (old == 0) and decimals_of(new) <= decimals_of(old)
    )


def _write(operand: _Operand, made: Sequence[Equation], new: Mapping[Fraction, Fraction]) -> str:
    if isinstance(operand, str):
        return operand
    return made[operand].right if isinstance(operand, int) else str(plain(new[operand]))


def _rewrite(text: str, moved: Sequence[Number], new: Mapping[Fraction, Fraction]) -> str:
    parts, done = [], 0
    for number in moved:
        value = new[number.value]
        written = f"{float(value):,.{number.decimals}f}" if number.decimals else f"{int(value)}"
        if not number.decimals and "," in text[number.start : number.end]:
            written = f"{int(value):,}"
        parts += [text[done : number.start], written]
        done = number.end
    return "".join(parts) + text[done:]

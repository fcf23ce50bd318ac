"""Equations of worked solutions: found, read, and computed exactly."""

import ast
import re
from dataclasses import dataclass
from fractions import Fraction

from .numbers import decimals_of, plain

_ANNOTATION = re.compile(r"<<([^<>]*)>>")
_MONEY = r"[$\u20ac\u00a3]"
_NUMBER = rf"{_MONEY}?(?:\d[\d,]*(?:\.\d+)?|\.\d+)%?"
_SIGN = r"[-+*/x\u00d7\u00f7]"
# Written out in a sentence: "sold 48 / 2 = $24".
_WRITTEN = re.compile(
    rf"(?<![\w.,])(\(*{_NUMBER}\)*(?:\s*{_SIGN}\s*\(*{_NUMBER}\)*)+)\s*=\s*({_NUMBER})(?![\w]|[.,]\d)"
)
_OTHER_SIGNS = str.maketrans({"\u00d7": "*", "\u00f7": "/", "x": "*", "X": "*", "\u2212": "-"})
_PERCENT = re.compile(r"(\d*\.?\d+)%")
_BETWEEN_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_APART = re.compile(r"[\d.]\s+[\d.]")  # two numbers without a sign between them
_COMPUTES = re.compile(r"[\d)%][-+*/]")
_WHOLE = re.compile(r"[-+*/().%\d]+")
_LONGEST = 200  # characters of an equation that is read


@dataclass(frozen=True)
class Equation:
    """One step: what is computed, and what comes out.

    Attributes:
        left: numbers with `+ - * / ( )` between them, without spaces.
        right: the result that was written, as a plain decimal.
        value: of `left`, exactly.
    """

    left: str
    right: str
    value: Fraction

    @property
    def rounds(self) -> bool:
        """Whether the result is what is computed, or that rounded up or down to its decimals."""
        return abs(Fraction(self.right) - self.value) < Fraction(
            1, 10 ** decimals_of(Fraction(self.right))
        )

    @property
    def holds(self) -> bool:
        """Whether the result is exactly what is computed, not rounded and not wrong."""
        return Fraction(self.right) == self.value

    def __str__(self) -> str:
        """Return it in the format of GSM8K's annotations."""
        return f"<<{self.left}={self.right}>>"


def read_equation(step: str) -> Equation | None:
    """Read one step such as `<<48/2=24>>` or `48 / 2 = $24`; None where nothing is computed.

    Signs of money, commas between thousands and spaces are dropped; 20% is read as 20/100.
    """
    text = step.strip().removeprefix("<<").removesuffix(">>")
    text = _BETWEEN_THOUSANDS.sub("", re.sub(_MONEY, "", text))
    if _APART.search(text):
        return None
    left, equals, right = "".join(text.split()).rpartition("=")
    left = left.translate(_OTHER_SIGNS)
    value = compute(left)
    if not equals or value is None or not _COMPUTES.search(left):
        return None
    try:
        result = plain(Fraction(right))
    except (ValueError, ZeroDivisionError):
        return None
    return None if result is None or "/" in right else Equation(left, result, value)


def find_equations(rationale: str) -> tuple[str, ...]:
    """Return the equations of a worked solution in order, as `<<48/2=24>>`.

    GSM8K's annotations are taken where there are any, else what sentences write out.
    """
    marked = _ANNOTATION.findall(rationale)
    texts = marked or ["=".join(pair) for pair in _WRITTEN.findall(rationale)]
    return tuple(str(equation) for text in texts if (equation := read_equation(text)))


def compute(expression: str) -> Fraction | None:
    """Return the exact value of numbers with `+ - * / ( )`, None where it has none."""
    if len(expression) > _LONGEST or not _WHOLE.fullmatch(expression):
        return None
    try:
        tree = ast.parse(_PERCENT.sub(r"(\1/100)", expression), mode="eval")
        return _value(tree.body)
    except (SyntaxError, ValueError, ZeroDivisionError, RecursionError, MemoryError):
        return None


def _value(node: ast.expr) -> Fraction:
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return Fraction(repr(node.value))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_value(node.operand)
    if not isinstance(node, ast.BinOp):
        raise ValueError(ast.dump(node))
    left, right = _value(node.left), _value(node.right)
    if isinstance(node.op, ast.Add):
        return left + right
    if isinstance(node.op, ast.Sub):
        return left - right
    if isinstance(node.op, ast.Mult):
        return left * right
    if isinstance(node.op, ast.Div):
        return left / right
    raise ValueError(ast.dump(node.op))

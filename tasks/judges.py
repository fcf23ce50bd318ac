"""Who says what an answer means: by number, by text, by mathematics, or by its outcome alone.

A judge says which answers of a pool vote together, and which are right. docs/answers.md has the
rules. Math needs the library math-verify, the extra `math`.
"""

import re
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Sequence
from decimal import Decimal
from typing import ClassVar

from ..registry import near
from .answers import canonical, is_correct, read_number, vote_keys
from .errors import TaskError
from .mathematics import equal, is_expression

RIGHT, WRONG = "right", "wrong"
"""The answers where only outcomes are known; `RIGHT` is the gold answer of every question."""


class Judge(ABC):
    """Judges the answers of one question; it is stateless.

    Attributes:
        name: what a task's metadata say, `judge: text`.
        golds: what a gold answer must be, in words.
        knows_answers: whether it can tell which answers are the same, so that there are votes.
    """

    name: ClassVar[str]
    golds: ClassVar[str]
    knows_answers: ClassVar[bool] = True

    @abstractmethod
    def key(self, answer: str | None) -> str | None:
        """Return what an answer counts as by itself; None where it states nothing."""

    def keys(self, answers: Sequence[str | None]) -> tuple[str | None, ...]:
        """Return what each answer of a pool votes for, equal where they vote together."""
        return tuple(map(self.key, answers))

    @abstractmethod
    def is_right(self, answer: str | None, gold: str, *, tolerance: Decimal = Decimal(0)) -> bool:
        """Tell whether an answer, or the key of one, is right."""

    def can_judge(self, gold: str) -> bool:
        """Tell whether answers can be compared with a gold answer."""
        return self.key(gold) is not None


class NumberJudge(Judge):
    """Answers are numbers, equal by value."""

    name = "number"
    golds = "a number, written as a plain decimal"

    def key(self, answer: str | None) -> str | None:
        """Return the number."""
        return read_number(answer)

    def keys(self, answers: Sequence[str | None]) -> tuple[str | None, ...]:
        """Return the numbers; texts vote where no answer is one."""
        return vote_keys(answers)

    def is_right(self, answer: str | None, gold: str, *, tolerance: Decimal = Decimal(0)) -> bool:
        """Tell whether an answer is the gold number, up to the tolerance."""
        return is_correct(answer, gold, tolerance=tolerance)

    def can_judge(self, gold: str) -> bool:
        """Tell whether the gold answer is a plain number."""
        return canonical(gold) is not None


_EMPHASIS = re.compile(r"(?<!\w)[*_`]+(?=\w)|(?<=\w)[*_`]+(?!\w)")  # Markdown's, around words


class TextJudge(Judge):
    """Answers are texts, equal but for case, space, emphasis and a final full stop."""

    name = "text"
    golds = "a text with something in it"

    def key(self, answer: str | None) -> str | None:
        """Return the text in one spelling."""
        composed = unicodedata.normalize("NFC", answer or "")
        words = _EMPHASIS.sub("", " ".join(composed.casefold().split()))
        return words.strip(" .*_`'\"\u201c\u201d") or None

    def is_right(self, answer: str | None, gold: str, *, tolerance: Decimal = Decimal(0)) -> bool:
        """Tell whether two texts are equal; there is no tolerance."""
        key = self.key(answer)
        return key is not None and key == self.key(gold)


class MathJudge(Judge):
    """Answers are mathematical expressions, equal where math-verify says so; else texts."""

    name = "math"
    golds = "an expression that math-verify can read, in LaTeX or plain"

    def __init__(self) -> None:
        """Make sure that the library is there.

        Raises:
            TaskError: it is not installed.
        """
        try:
            import math_verify  # noqa: F401
        except ImportError as error:
            raise TaskError(
                "judge: math needs the library math-verify: pip install 'latent-tts[math]'."
            ) from error

    def key(self, answer: str | None) -> str | None:
        """Return the answer without surrounding space."""
        return (answer or "").strip() or None

    def keys(self, answers: Sequence[str | None]) -> tuple[str | None, ...]:
        """Return for each answer the first one of the pool that is equal to it."""
        first: list[str] = []
        found: dict[str, str] = {}
        for text in filter(None, map(self.key, answers)):
            if text not in found:
                found[text] = next((one for one in first if _equal(one, text)), text)
                if found[text] == text:
                    first.append(text)
        return tuple(found.get(self.key(answer) or "") for answer in answers)

    def is_right(self, answer: str | None, gold: str, *, tolerance: Decimal = Decimal(0)) -> bool:
        """Tell whether an answer is equal to the gold expression; there is no tolerance."""
        key, wanted = self.key(answer), self.key(gold)
        return key is not None and wanted is not None and _equal(wanted, key)

    def can_judge(self, gold: str) -> bool:
        """Tell whether math-verify reads an expression in the gold answer."""
        key = self.key(gold)
        return key is not None and is_expression(key)


class OutcomeJudge(Judge):
    """Of candidates of other programs only this is known: whether each is right."""

    name = "outcome"
    golds = f"{RIGHT!r}"
    knows_answers = False

    def key(self, answer: str | None) -> str | None:
        """Return the outcome; an answer that was not found is a wrong one."""
        return RIGHT if answer == RIGHT else WRONG

    def is_right(self, answer: str | None, gold: str, *, tolerance: Decimal = Decimal(0)) -> bool:
        """Tell whether the outcome is that the candidate is right."""
        return answer == RIGHT

    def can_judge(self, gold: str) -> bool:
        """Tell whether the gold answer is what an outcome is held against."""
        return gold == RIGHT


_LATEX_TEXT = re.compile(r"\\(?:text|textbf|mathrm|mbox)\s*\{([^{}]*)\}|\$")


def _equal(gold: str, answer: str) -> bool:
    if TEXT.key(_LATEX_TEXT.sub(r"\1", gold)) == TEXT.key(_LATEX_TEXT.sub(r"\1", answer)):
        return True
    number = read_number(gold)  # math-verify knows neither 1.5e3 nor "18 dollars"
    return (number is not None and read_number(answer) == number) or equal(gold, answer)


NUMBER = NumberJudge()
TEXT = TextJudge()
_JUDGES: dict[str, Judge | type[Judge]] = {
    "number": NUMBER,
    "text": TEXT,
    "math": MathJudge,
    "outcome": OutcomeJudge(),
}
JUDGES = tuple(name for name in _JUDGES if name != "outcome")
"""Names of the judges of answers; `outcome` judges what was judged elsewhere."""


def find_judge(name: object) -> Judge:
    """Return the judge of a name.

    Raises:
        TaskError: there is none, or its library is not installed.
    """
    if not isinstance(name, str) or name not in _JUDGES:
        raise TaskError(
            f"judge is {name!r};{near(name, _JUDGES)} Allowed in a task's metadata are "
            f"{', '.join(_JUDGES)}."
        )
    judge = _JUDGES[name]
    if isinstance(judge, type):
        judge = _JUDGES[name] = judge()
    return judge

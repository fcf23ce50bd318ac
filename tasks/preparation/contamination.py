"""Test questions in training text: none may be there, nor a copy with other numbers.

Digests of every test question ship with the package, so the check needs neither network nor data.
`python -m latent_tts.tasks.preparation FOLDER` makes them of a folder of test sets.
"""

import base64
import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Protocol

from ..errors import TaskError
from .numbers import WORDS

DIGESTS = Path(__file__).parent / "test_questions.json"
"""The file of digests: of each set the questions as they are, and with their numbers masked."""

_BYTES = 6  # of a digest: one in a billion training questions is taken for a test question
_WIDTH = 8  # characters of a digest in base64
_NUMBER = re.compile(
    rf"\d[\d,]*(?:\.\d+)?|\.\d+|\b(?:a\s+(?=hundred|thousand|million|dozen))?(?:{'|'.join(WORDS)})\b"
)
# "twenty-five" is one number, and so are "one hundred and five", 16 million, 1/2 and 3½.
_SEVERAL = re.compile(r"#(?:(?:\s+and\s+|\s*[\s/\u2044-]\s*)#)+")
_NO_WORD = re.compile(r"[^\w+*^=<>]|_")  # signs of arithmetic stay
_LEAST = 20  # letters that tell a question with its numbers masked from others


class _Asks(Protocol):
    @property
    def question(self) -> str:
        """The question's text."""


def normalised(question: str) -> str:
    """Return a question's letters, digits and signs of arithmetic alone, in lower case."""
    text = unicodedata.normalize("NFKC", question).casefold()
    return _NO_WORD.sub("", text)


def masked(question: str) -> str:
    """Return what `normalised` does, with one mark for every number, in digits or in words.

    Where hardly a word is left ("What is 3 + 4?"), nothing is masked: it would be any question.
    """
    text = unicodedata.normalize("NFKC", question).casefold()
    text = _SEVERAL.sub("#", _NUMBER.sub("#", text))
    covered = "#".join(_NO_WORD.sub("", part) for part in text.split("#"))
    return covered if sum(map(str.isalpha, covered)) >= _LEAST else normalised(question)


def digest(text: str) -> str:
    """Return 8 characters that stand for a text."""
    found = hashlib.blake2b(text.encode(), digest_size=_BYTES).digest()
    return base64.urlsafe_b64encode(found).decode()


@dataclass(frozen=True)
class Match:
    """A test question that was found.

    Attributes:
        test_set: its name, such as `gsm8k_test`.
        other_numbers: whether only its numbers differ.
    """

    test_set: str
    other_numbers: bool

    def __str__(self) -> str:
        """Return it for reports."""
        return f"{self.test_set}{' with other numbers' if self.other_numbers else ''}"


class TestQuestions:
    """Digests of questions that must not be learned from."""

    __test__ = False  # for pytest, which takes the name for a test's

    def __init__(self, sets: Mapping[str, tuple[Sequence[str], Sequence[str]]]) -> None:
        """Take each set's digests: of its questions, and of those with their numbers masked."""
        self._exact = {one: name for name, (exact, _) in sets.items() for one in exact}
        self._masked = {one: name for name, (_, covered) in sets.items() for one in covered}

    @classmethod
    def of(cls, sets: Mapping[str, Iterable[str]]) -> "TestQuestions":
        """Make them of questions' texts."""
        return cls({name: digests(texts) for name, texts in sets.items()})

    def find(self, question: str) -> Match | None:
        """Return which test question a question is, None where it is none."""
        name = self._exact.get(digest(normalised(question)))
        if name is not None:
            return Match(name, other_numbers=False)
        name = self._masked.get(digest(masked(question)))
        return None if name is None else Match(name, other_numbers=True)


def digests(questions: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return the sorted digests of questions as they are, and with their numbers masked."""
    texts = list(questions)
    return (
        sorted({digest(normalised(text)) for text in texts}),
        sorted({digest(masked(text)) for text in texts}),
    )


@cache
def shipped_tests() -> TestQuestions:
    """Return the test questions of every benchmark, by the digests that ship."""
    sets = json.loads(DIGESTS.read_text(encoding="utf-8"))
    return TestQuestions(
        {name: (_cut(kinds["exact"]), _cut(kinds["masked"])) for name, kinds in sets.items()}
    )


def _cut(joined: str) -> list[str]:
    return [joined[start : start + _WIDTH] for start in range(0, len(joined), _WIDTH)]


def refuse_test_questions(
    examples: Iterable[_Asks], *, where: str, tests: TestQuestions | None = None
) -> None:
    """Raise TaskError where an example is a test question, or one with other numbers.

    Args:
        examples: what is to be learned from.
        where: the file or the recipe, for the message.
        tests: the questions that are refused; by default those of every benchmark.
    """
    tests = tests or shipped_tests()
    found = [
        (number, example.question, match)
        for number, example in enumerate(examples, start=1)
        if (match := tests.find(example.question))
    ]
    if found:
        number, question, match = found[0]
        raise TaskError(
            f"{where}: {len(found)} of the examples are test questions; the first is example "
            f"{number}, {question[:60]!r}…, from {match}. Nothing is trained on them: take them "
            "out with `latent-tts data prepare`."
        )

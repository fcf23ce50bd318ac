"""A question with the steps that solve it, and the JSONL files that hold them: training data."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec

from .answers import canonical
from .errors import TaskError
from .question import read_rows

_FORMAT = (
    'one JSON object a line: {"question": "What is 2 + 3 + 4?", "steps": ["<<2+3=5>>", '
    '"<<5+4=9>>"], "answer": "9"}; or GSM8K\'s own, whose answer is the worked solution and ends '
    "in #### 9"
)
_ANNOTATION = re.compile(r"<<[^<>]*>>")
_Text = Annotated[str, msgspec.Meta(pattern=r"\S")]


class Solved(msgspec.Struct, frozen=True, kw_only=True):
    """What is learned from: a question, how it is solved, and its answer.

    Attributes:
        question: the text, without any prompt format.
        steps: what is written before the answer, one line each; none where only the answer is
            known.
        answer: a canonical decimal where it is a number, else the text as it stands.
    """

    question: str
    steps: tuple[str, ...]
    answer: str

    @property
    def worked(self) -> str:
        """Steps and answer as the backbone `explicit` writes them: a line each, then `### 18`."""
        return "\n".join([*self.steps, f"### {self.answer}"])


class _Row(msgspec.Struct):
    question: _Text
    answer: _Text
    steps: list[_Text] | str | None = None


def read_solved(path: str | Path) -> list[Solved]:
    """Read a JSONL file of `{"question", "steps", "answer"}` objects, or one in GSM8K's own format.

    Args:
        path: the file. Steps are a list of texts, or one text with a line for each; other fields
            are ignored. Where there are no steps and the answer holds `####`, the answer is GSM8K's
            worked solution: its calculator annotations are the steps, or its lines where it has
            none.

    Returns:
        The questions in file order.

    Raises:
        TaskError: the file is missing or empty, or a line is malformed; names file and line.
    """
    return [_solved(row, where=where) for _, where, row in read_rows(path, expected=_FORMAT)]


def _solved(row: Mapping[str, object], *, where: str) -> Solved:
    try:
        given = msgspec.convert(row, _Row)
    except msgspec.ValidationError as error:
        raise TaskError(f"{where}: {error}, found {str(row)[:80]}. Expected {_FORMAT}") from error
    answer, steps = given.answer, given.steps
    if steps is None:
        rationale, hashes, last = answer.rpartition("####")
        if hashes:
            answer, steps = last, _ANNOTATION.findall(rationale) or rationale
    lines = steps.split("\n") if isinstance(steps, str) else steps or []
    written = tuple(line.strip() for line in lines if line.strip())
    if any("\n" in step for step in written):
        raise TaskError(f"{where}: a step holds a line break. Give each line as a step of its own.")
    if not answer.strip():
        raise TaskError(f"{where}: there is no answer after ####. Expected {_FORMAT}")
    return Solved(
        question=given.question.strip(), steps=written, answer=canonical(answer) or answer.strip()
    )

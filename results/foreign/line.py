"""What a file of another program becomes: questions with their pools, and how they are judged."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated

import msgspec

from ...tasks import Candidate, Pool, Question, canonical, find_judge
from ..errors import ResultsError

COUNTED = frozenset({"thoughts", "answer_tokens", "truncated"})
"""What may be known of every candidate of a question, or not."""

Count = Annotated[int, msgspec.Meta(ge=0)]


@dataclass(frozen=True)
class PoolLine:
    """One question of a file.

    Attributes:
        where: file and line, for error messages.
        question: with "" as text where the file has none.
        pool: its candidates.
        counted: the fields of `COUNTED` that all candidates have.
    """

    where: str
    question: Question
    pool: Pool
    counted: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Imported:
    """A file of another program, read.

    Attributes:
        lines: its questions, in order.
        judge: the name of the judge of its answers.
        tolerance: difference from the gold answer that counts as right, where the file says it.
        seed: of the candidates, where the file says it.
        notes: sentences about what the user should know.
    """

    lines: Sequence[PoolLine]
    judge: str = "number"
    tolerance: str | None = None
    seed: int | None = None
    notes: tuple[str, ...] = ()


def read_gold(text: str | None, judge: str) -> str | None:
    """Return a gold answer in the spelling that is kept, None where its judge cannot read it."""
    if judge == "number":
        return canonical(text)
    return text if text and find_judge(judge).can_judge(text) else None


def stated(
    answers: Sequence[str | None], rewards: Sequence[float] | None = None
) -> tuple[Candidate, ...]:
    """Return candidates of which a file has the answers alone, or their rewards too."""
    each = [None] * len(answers) if rewards is None else rewards
    pairs = zip(answers, each, strict=True)
    return tuple(Candidate.of_answer(answer, reward=reward) for answer, reward in pairs)


def refuse_repeated(lines: Iterable[PoolLine], *, called: str, advice: str) -> None:
    """Refuse questions that come twice.

    Args:
        lines: the questions.
        called: what an id is called in the file.
        advice: what to do.

    Raises:
        ResultsError: names both places.
    """
    seen: dict[str, str] = {}
    for line in lines:
        key = line.question.id
        if key in seen:
            raise ResultsError(
                f"{line.where}: {called} {key!r} stands already at {seen[key]}. {advice}"
            )
        seen[key] = line.where

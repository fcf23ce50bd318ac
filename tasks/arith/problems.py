"""Arithmetic word problems, generated from patterns.

Two streams of random numbers are used: one chooses the sentences and words, the other the numbers.
So a hard problem has the text of its easy twin, with larger numbers. Only `random.Random.random` is
called, whose sequence for a given seed Python promises to keep.

A question belongs to exactly one split. Its text with every number masked is digested (BLAKE2b),
and the digest, whatever the seed, says train, validation or test; a question with a held-back
pattern is always a test question. Hence no train question is a test question with other numbers.
"""

import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, get_args

from ..errors import TaskError
from .steps import EASY, HARD, TRAIN, TRAIN_HARD, Scale, draw_numbers
from .structure import draw_structure

Split = Literal["train", "validation", "test"]

_SCALES: Final[dict[Split, tuple[Scale, Scale]]] = {
    "train": (TRAIN, TRAIN_HARD),
    "validation": (EASY, HARD),
    "test": (EASY, HARD),
}
"""How large the numbers are, and how large in hard problems. Training covers what is tested."""
_HELD_BACK_SHARE: Final = 0.5
_TEST_PERCENT: Final = 8
_VALIDATION_PERCENT: Final = 4


@dataclass(frozen=True)
class Problem:
    """A word problem with its worked steps.

    Attributes:
        id: `arith-<split>-<index>`, or `arith-hard-<split>-<index>` for a hard problem.
        question: the text, 25 to 70 words.
        answer: the result of the last step, a positive whole number in digits.
        steps: two to four equations in order, such as `<<24-9=15>>`.
        held_back: whether a pattern that train and validation never use occurs in the question.
    """

    id: str
    question: str
    answer: str
    steps: tuple[str, ...]
    held_back: bool


def generate(*, split: Split, count: int, seed: int, hard: bool = False) -> Iterator[Problem]:
    """Generate word problems of two to four steps, the same for the same arguments everywhere.

    No two questions of one call are equal, even with their numbers masked, and the first problems
    of a longer call are those of a shorter one.

    Args:
        split: `train` and `validation` never use held-back patterns, about half of the `test`
            problems do. No question occurs in two splits, whatever the seeds.
        count: number of problems, at least 1.
        seed: any whole number; each gives other problems.
        hard: whether to give the problems that `hard=False` gives with larger numbers instead.
            Results are at most 30 in validation and test and 150 in hard ones, 100 in training
            and 999 in hard ones.

    Returns:
        An iterator over `count` problems.

    Raises:
        TaskError: `split` is unknown or `count` is less than 1.
    """
    if split not in get_args(Split):
        allowed = ", ".join(get_args(Split))
        raise TaskError(f"split={split!r} is unknown; allowed: {allowed}; pass one of these.")
    if count < 1:
        raise TaskError(f"count={count} is too small; allowed: 1 or more; ask for a problem.")
    return _generate(split, count, seed, hard)


def _generate(split: Split, count: int, seed: int, hard: bool) -> Iterator[Problem]:
    draw_sentence = random.Random(f"arith/{split}/{seed}/sentences").random
    draws = {
        scale: random.Random(f"arith/{split}/{seed}/numbers/{name}").random
        for name, scale in zip(("easy", "hard"), _SCALES[split], strict=True)
    }
    prefix = f"arith-hard-{split}" if hard else f"arith-{split}"
    seen: set[bytes] = set()
    share = _HELD_BACK_SHARE if split == "test" else 0.0
    held_back = draw_sentence() < share
    while len(seen) < count:
        structure = draw_structure(draw_sentence, held_back=held_back)
        digest = hashlib.blake2b(structure.masked.encode(), digest_size=16).digest()
        if digest in seen or _split_of(digest, structure.held_back) != split:
            continue
        # Both sizes are drawn, so that easy and hard problems drop the same sentences.
        easy, difficult = (
            draw_numbers(draw, structure.patterns, scale) for scale, draw in draws.items()
        )
        if easy is None or difficult is None:
            continue
        worked = difficult if hard else easy
        yield Problem(
            id=f"{prefix}-{len(seen)}",
            question=structure.masked % worked.numbers,
            answer=str(worked.answer),
            steps=worked.steps,
            held_back=structure.held_back,
        )
        seen.add(digest)
        held_back = draw_sentence() < share


def _split_of(digest: bytes, held_back: bool) -> Split:
    """Say which split a masked question belongs to, from its digest."""
    percent = int.from_bytes(digest[:4], "big") % 100
    if held_back or percent < _TEST_PERCENT:
        return "test"
    return "validation" if percent < _TEST_PERCENT + _VALIDATION_PERCENT else "train"

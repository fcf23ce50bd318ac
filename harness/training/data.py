"""What a recipe learns from and is measured on."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...models import ModelError
from ...models.training import Example
from ...tasks import Question, read_solved
from ...tasks.arith import Split
from ...tasks.preparation import normalised, refuse_test_questions
from ...tasks.sources import DATA_VARIABLE
from ..questions import arith_problems

_GENERATED = {"arith", "hard_share"}


def read_examples(
    sources: Sequence[str | Mapping[str, Any]],
    *,
    split: Split,
    seed: int,
    test_questions: bool = False,
) -> list[Example]:
    """Return the examples of a recipe's sources, one source after the other.

    Args:
        sources: files of `{question, steps, answer}` lines or in GSM8K's own format, looked for
            here and in the folder that LATENT_TTS_DATA names; or `{"arith": count}`, generated
            problems, with `hard_share` for those with larger numbers.
        split: of generated problems.
        seed: of generated problems.
        test_questions: whether files may hold questions of a test set.

    Raises:
        ModelError: a source that is neither.
        TaskError: a file or a line that cannot be read, or a test question.
    """
    examples: list[Example] = []
    for source in sources:
        found = list(_read(source, split, seed))
        # Generated problems of different splits never have a text in common.
        if isinstance(source, str) and not test_questions:
            refuse_test_questions(found, where=source)
        examples += found
    return examples


def _read(source: str | Mapping[str, Any], split: Split, seed: int) -> Iterator[Example]:
    if isinstance(source, str):
        yield from read_solved(_find(source))
        return
    if "arith" not in source or not source.keys() <= _GENERATED:
        raise ModelError(
            f"{dict(source)} is no data. Give a file, or `arith: 20000` for generated problems, "
            "with `hard_share: 0.1` where a share of them is to have larger numbers."
        )
    count, share = source["arith"], source.get("hard_share", 0.0)
    numbers = isinstance(count, int) and count >= 1 and isinstance(share, int | float)
    if not numbers or not 0 <= share <= 1:
        raise ModelError(f"{dict(source)}: allowed are counts from 1 on, and shares from 0 to 1.")
    yield from arith_problems(split, count, hard_share=share, seed=seed)


def _find(name: str) -> Path:
    path = Path(name).expanduser()
    folder = os.environ.get(DATA_VARIABLE)
    if not path.exists() and folder and (Path(folder) / name).exists():
        return Path(folder) / name
    return path


def read_validation(
    sources: Sequence[str | Mapping[str, Any]], *, count: int, learned: Sequence[Example], seed: int
) -> list[Question]:
    """Return the questions that a recipe is measured on.

    Args:
        sources: as for `read_examples`.
        count: most of them; the first.
        learned: what is learned from, and must be none of them.
        seed: of generated problems.

    Raises:
        ModelError: a question that is learned from, too.
    """
    found = read_examples(sources, split="validation", seed=seed)[:count]
    known = {normalised(example.question) for example in learned}
    for number, example in enumerate(found):
        if normalised(example.question) in known:
            raise ModelError(
                f"Question {number} of validation is learned from, too: {example.question[:60]!r}. "
                "What is measured on it would say nothing. Take it out of data, or give other "
                "questions for validation."
            )
    return [Question(id=str(i), text=e.question, gold=e.answer) for i, e in enumerate(found)]

"""Do time per question and memory stay the same however many questions there are?"""

import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from ...models import load_tokenizer
from ...tasks.arith import generate
from ..sample import sample_pools
from .measures import Spread, resident_bytes, trim_memory
from .setup import Setup
from .work import TOKENIZER

SMALL = {"layers": 2, "width": 128, "heads": 2, "vocabulary": 1200}
FEW, MANY, SAMPLES = 100, 2000, 8


def compare_lengths(setup: Setup, *, few: int = FEW, many: int = MANY) -> Iterator[dict[str, Any]]:
    """Draw pools for few and for many questions in turn, N = 8.

    All questions have as many tokens, since shorter ones come last and take less.

    Args:
        setup: sizes, lengths, rounds, the first sampler and the place.
        few: questions of the shorter run, and of a part of the longer one.
        many: questions of the longer run.

    Yields:
        A row for the shorter run, and one for each part of the longer run. `ratio_to_short` is the
        time per question over that of the shorter run in the same round; `grown_bytes` the most
        that the process held more than after it.
    """
    model, tokenizer = setup.model, load_tokenizer(TOKENIZER)
    questions = _questions(model, tokenizer, many, seed=setup.work.seed)
    settings = setup.work.settings(model, setup.samplers[0], SAMPLES)

    def drawn(count: int) -> list[tuple[float, int]]:
        """Return seconds per question of each part, and the bytes held after it."""
        trim_memory()
        marks = [(time.perf_counter(), 0)]
        seen = 0

        def done(place: int, pool: Any) -> None:
            nonlocal seen
            seen += 1
            if seen % few == 0:
                marks.append((time.perf_counter(), resident_bytes()))

        sample_pools(
            model, tokenizer, questions[:count], settings, batch_size=_batch(few), done=done
        )
        return [((end - start) / few, held) for (start, _), (end, held) in pairwise(marks)]

    drawn(few)  # warm up
    rounds = [(drawn(few)[0], drawn(many)) for _ in range(setup.rounds)]
    short = [taken for (taken, _), _ in rounds]

    def row(name: str, taken: list[float], grown: list[int]) -> dict[str, Any]:
        return {
            "questions": name,
            **Spread.of([1e3 * own for own in taken]).fields("ms_per_question"),
            **Spread.of_ratios(taken, short).fields("ratio_to_short"),
            "grown_bytes": max(grown),
        }

    yield row(f"{few} alone", short, [0])
    for place in range(many // few):
        parts = [parts[place] for _, parts in rounds]
        grown = [now - held for ((_, held), _), (_, now) in zip(rounds, parts, strict=True)]
        name = f"{place * few + 1} to {(place + 1) * few} of {many}"
        yield row(name, [taken for taken, _ in parts], grown)
    whole = [sum(taken for taken, _ in parts) / len(parts) for _, parts in rounds]
    grown = [parts[-1][1] - held for (_, held), parts in rounds]
    yield row(f"all {many}", whole, grown)


def _batch(few: int) -> int:
    """Return the questions in a batch: a divisor of `few`, so that a part is of whole batches."""
    return next(size for size in range(min(25, few), 0, -1) if few % size == 0)


def _questions(model: Any, tokenizer: Any, count: int, *, seed: int) -> list[str]:
    """Return questions whose prompts have equally many tokens."""
    by_length: dict[int, list[str]] = defaultdict(list)
    for problem in generate(split="validation", count=sys.maxsize, seed=seed):
        same = by_length[len(model.encode_prompt(tokenizer, problem.question))]
        same.append(problem.question)
        if len(same) == count:
            return same
    raise RuntimeError("The generator of problems has come to an end.")

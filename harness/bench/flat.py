"""Do time per question and memory stay the same however many questions there are?"""

import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from ...models import load_tokenizer
from ...tasks.arith import generate
from ..sampling import draw_pools
from .measures import release_memory, resident_bytes
from .setup import Setup
from .work import TOKENIZER

SMALL = {"layers": 2, "width": 128, "heads": 2, "vocabulary": 1200}
FEW, MANY, SAMPLES = 100, 2000, 8


def compare_lengths(setup: Setup, *, few: int = FEW, many: int = MANY) -> Iterator[dict[str, Any]]:
    """Draw pools for few and for many questions, N = 8.

    All questions have as many tokens, since shorter ones come last and take less.

    Args:
        setup: sizes, lengths, the first sampler and the place.
        few: questions of the shorter run, and of a part of the longer one.
        many: questions of the longer run.

    Yields:
        A row for the shorter run, and one for each part of the longer run. `ratio_to_short` is the
        time per question over that of the shorter run; `grown_bytes` what the process holds more
        than after the shorter run.
    """
    model, tokenizer = setup.model, load_tokenizer(TOKENIZER)
    questions = _questions(model, tokenizer, many, seed=setup.work.seed)
    settings = setup.work.settings(model, setup.samplers[0], SAMPLES)

    def drawn(count: int) -> list[tuple[float, int]]:
        """Return seconds per question of each part, and the bytes held after it."""
        release_memory()
        marks = [(time.perf_counter(), 0)]
        seen = 0

        def done(place: int, pool: Any) -> None:
            nonlocal seen
            seen += 1
            if seen % few == 0:
                marks.append((time.perf_counter(), resident_bytes()))

        draw_pools(model, tokenizer, questions[:count], settings, batch_size=_batch(few), done=done)
        return [((end - start) / few, held) for (start, _), (end, held) in pairwise(marks)]

    drawn(few)  # warm up
    ((short, held),) = drawn(few)
    yield {"questions": f"{few} alone", "ms_per_question": 1e3 * short, "ratio_to_short": 1.0}
    parts = drawn(many)
    for place, (taken, now) in enumerate(parts):
        yield {
            "questions": f"{place * few + 1} to {(place + 1) * few} of {many}",
            "ms_per_question": 1e3 * taken,
            "ratio_to_short": taken / short,
            "grown_bytes": now - held,
        }
    whole = sum(taken for taken, _ in parts) / len(parts)
    yield {
        "questions": f"all {many}",
        "ms_per_question": 1e3 * whole,
        "ratio_to_short": whole / short,
        "grown_bytes": parts[-1][1] - held,
    }


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

"""Outcome arrays for the library scorio, see `latent_tts.results.foreign.scorio`."""

import io
import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ...tasks import find_judge, judge_pool, read_tolerance
from ..errors import ResultsError
from ..foreign.arrays import Floats, Outcomes
from ..foreign.line import PoolLine
from ..foreign.scorio import place_beside
from .files import write_new


def write_scorio(
    lines: Sequence[PoolLine],
    file: Path,
    *,
    judge: str,
    tolerance: str,
    seed: int | None = None,
    task: str | None = None,
    model: str | None = None,
) -> Path:
    """Write pools as outcome arrays.

    Args:
        lines: the questions with their pools.
        file: `.npz`, or `.npy` for the outcomes alone.
        judge: the name of the judge of the answers.
        tolerance: difference from the gold answer that counts as right.
        seed: of the candidates.
        task: that the questions belong to.
        model: that made the candidates.

    Returns:
        The array; the JSON file of the same name stands beside it.

    Raises:
        ResultsError: pools of several sizes, another suffix, or a file that is there already or
            cannot be written.
    """
    if file.suffix not in (".npz", ".npy"):
        raise ResultsError(f"{str(file)!r} must end in .npz (outcomes, votes, scores) or in .npy.")
    pools = [line.pool.judged_by(judge) for line in lines]
    sizes = {len(pool.candidates) for pool in pools}
    if len(sizes) > 1:
        raise ResultsError(
            f"The pools have {min(sizes)} to {max(sizes)} candidates, and scorio's arrays as many "
            f"for each question. Give --candidates {min(sizes)}, or fewer, for the first ones."
        )
    allowed = read_tolerance(tolerance)
    judged = [
        judge_pool(pool, line.question.gold, tolerance=allowed)
        for pool, line in zip(pools, lines, strict=True)
    ]
    outcomes = np.array([one.correct for one in judged], dtype=np.int8)
    arrays: dict[str, Outcomes | Floats] = {"R": outcomes}
    if find_judge(judge).knows_answers:
        arrays["answers"] = np.array([_labels(one.keys) for one in judged])
    rewards = [one.rewards for one in judged]
    if all(any(reward is not None for reward in row) for row in rewards):
        arrays["scores"] = np.array(rewards, dtype=np.float64)  # NaN for None
    beside = {
        "question_ids": [line.question.id for line in lines],
        "questions": [line.question.text for line in lines],
        "golds": [line.question.gold for line in lines],
        "answers": [[one.answer for one in pool.candidates] for pool in pools],
        "judge": judge,
        "tolerance": tolerance,
        **{k: v for k, v in (("seed", seed), ("task", task), ("model", model)) if v is not None},
    }
    stream = io.BytesIO()
    if file.suffix == ".npy":
        np.save(stream, outcomes, allow_pickle=False)
    else:
        np.savez_compressed(stream, allow_pickle=False, **arrays)
    write_new({file: stream.getvalue(), place_beside(file): json.dumps(beside).encode()})
    return file


def _labels(keys: Sequence[str | None]) -> list[float]:
    """Return a number for each key, equal where keys are; NaN where there is none."""
    known = {key: float(i) for i, key in enumerate(dict.fromkeys(keys))}
    return [math.nan if key is None else known[key] for key in keys]

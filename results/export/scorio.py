"""Outcome arrays for the library scorio, see `latent_tts.results.foreign.scorio`."""

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
from ..runs.lm_eval_files import writing


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
        The JSON file beside.

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
    if all(reward is not None for row in rewards for reward in row):
        arrays["scores"] = np.array(rewards, dtype=np.float64)
    beside = {
        "question_ids": [line.question.id for line in lines],
        "questions": [line.question.text for line in lines],
        "golds": [line.question.gold for line in lines],
        "answers": [[one.answer for one in pool.candidates] for pool in pools],
        "judge": judge,
        "tolerance": tolerance,
        **{k: v for k, v in (("seed", seed), ("task", task), ("model", model)) if v is not None},
    }
    with writing(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("xb") as stream:
            if file.suffix == ".npy":
                np.save(stream, outcomes)
            else:
                np.savez_compressed(stream, allow_pickle=False, **arrays)
        place = place_beside(file)
        with place.open("x", encoding="utf-8") as text:
            json.dump(beside, text)
    return place


def _labels(keys: Sequence[str | None]) -> list[float]:
    """Return a number for each key, equal where keys are; NaN where there is none."""
    known = {key: float(i) for i, key in enumerate(dict.fromkeys(keys))}
    return [math.nan if key is None else known[key] for key in keys]

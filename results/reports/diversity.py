"""How far the thoughts of a question's samples lie apart, and where they go."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..runs.metrics import largest_k
from ..runs.record import Run

Thoughts = NDArray[np.float32]


@dataclass(frozen=True)
class Sampled:
    """The samples of one question.

    Attributes:
        question: its id.
        thoughts: f32[T, D] of each sample.
        right: whether each sample's answer is right.
    """

    question: str
    thoughts: tuple[Thoughts, ...]
    right: tuple[bool, ...]


def pairwise_distance(samples: Sequence[Thoughts]) -> float:
    """Return the mean over pairs of samples, and over the steps both have, of 1 - cosine.

    d = mean over i < j of mean over t <= min(T_i, T_j) of 1 - h_it · h_jt / (|h_it| |h_jt|)

    Args:
        samples: f32[T, D] of each; a pair without a common step is left out, and a thought of
            length 0 is orthogonal to every other.

    Returns:
        From 0 (all alike) to 2; NaN without any pair.
    """
    longest = max((len(one) for one in samples), default=0)
    if longest == 0:
        return float("nan")
    units = np.zeros((len(samples), longest, samples[0].shape[1]))
    for row, one in zip(units, samples, strict=True):
        lengths = np.linalg.norm(one, axis=1, keepdims=True)
        row[: len(one)] = np.divide(one, lengths, out=np.zeros(one.shape), where=lengths > 0)
    steps = np.array([len(one) for one in samples])
    shared = np.minimum(steps[:, None], steps[None, :])
    # What lies beyond a sample's end is 0 and adds nothing to a sum over steps.
    cosines = np.einsum("itd,jtd->ij", units, units)
    first, second = np.triu_indices(len(samples), k=1)
    pairs = shared[first, second] > 0
    found = 1 - cosines[first, second][pairs] / shared[first, second][pairs]
    return float(found.mean()) if len(found) else float("nan")


def diversity_row(name: str, run: Run, questions: Iterable[Sampled]) -> dict[str, object]:
    """Return a row of the table: the distance of a run's thoughts, and what its answers are worth.

    Args:
        name: of the run.
        run: whose metrics are shown.
        questions: with their thoughts.
    """
    distances = pd.Series([pairwise_distance(one.thoughts) for one in questions]).dropna()
    n = largest_k(run.metrics)
    row: dict[str, object] = {
        "run": name,
        "task": run.task,
        "sampler": run.config.sampler,
        "strength": run.config.strength,
        "N": n,
        "distance": distances.mean(),
        "distance_stderr": distances.sem(),
        "questions": len(distances),
    }
    for label, metric in (("pass@1", "pass@1"), ("coverage", f"pass@{n}"), ("vote", f"voting@{n}")):
        value, stderr = run.metrics.get(metric, (float("nan"), None))
        row |= {label: value, f"{label}_stderr": stderr}
    return row


def most_mixed(questions: Iterable[Sampled], count: int) -> list[Sampled]:
    """Return the questions whose samples are most evenly right and wrong, of equals the first."""
    mixed = [one for one in questions if 0 < sum(one.right) < len(one.right)]
    return sorted(mixed, key=lambda one: abs(2 * sum(one.right) - len(one.right)))[:count]


def plane(sampled: Sequence[Sampled]) -> pd.DataFrame:
    """Return each question's thoughts in the plane in which they differ most (PCA).

    Args:
        sampled: questions, each with a plane of its own.

    Returns:
        A row a thought: question, sample, step, right, x, y, and `share`, the part of the variance
        that the plane has.
    """
    parts = []
    for one in sampled:
        points = np.concatenate([np.asarray(each, dtype=np.float64) for each in one.thoughts])
        points = points - points.mean(axis=0)
        left, values, _ = np.linalg.svd(points, full_matrices=False)
        at = np.zeros((len(points), 2))
        kept = min(2, len(values))
        at[:, :kept] = left[:, :kept] * values[:kept]
        total = float((values**2).sum())
        lengths = [len(each) for each in one.thoughts]
        parts.append(
            pd.DataFrame(
                {
                    "question": one.question,
                    "sample": np.repeat(np.arange(len(lengths)), lengths),
                    "step": np.concatenate([np.arange(1, length + 1) for length in lengths]),
                    "right": np.repeat(one.right, lengths),
                    "x": at[:, 0],
                    "y": at[:, 1],
                    "share": float((values[:2] ** 2).sum()) / total if total else 1.0,
                }
            )
        )
    return pd.concat(parts, ignore_index=True)

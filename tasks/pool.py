"""The N candidates of one question, as plain JSON.

A pool is what every estimator, vote and leaderboard row is computed from. Its JSON is
`{"candidates": [{"text", "answer", "thoughts", "answer_tokens", "truncated"}, …]}`, with `reward`
and `step_rewards` where a reward model scored the candidates.
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .errors import TaskError


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One sampled solution of a question, after all tensors are gone.

    Attributes:
        text: What the model wrote after its thoughts.
        answer: The answer read from the text, as written; None where none was found.
        thoughts: Latent thoughts, a count.
        answer_tokens: Tokens of the answer text, a count.
        truncated: Whether the token limit cut the candidate off.
        reward: The reward model's score; None where there is none (NaN is none).
        step_rewards: The score of each thought, in order; NaN where a step has none.
    """

    text: str
    answer: str | None
    thoughts: int
    answer_tokens: int
    truncated: bool
    reward: float | None = None
    step_rewards: tuple[float, ...] | None = None


@dataclass(frozen=True)
class Pool:
    """The candidates of one question, in the order in which they were sampled."""

    candidates: tuple[Candidate, ...]

    def __post_init__(self) -> None:
        """Refuses a pool without candidates, which no metric is defined for."""
        if not self.candidates:
            raise TaskError("a pool needs at least one candidate, but this one has none.")

    def to_json(self) -> str:
        """Writes the pool as strict JSON; rewards that are not finite become null."""
        rows = [_write_candidate(candidate) for candidate in self.candidates]
        return json.dumps({"candidates": rows}, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> "Pool":
        """Reads a pool; fields that this version does not know are dropped.

        Args:
            text: What `to_json` wrote, or another program in the same format.

        Returns:
            The pool.

        Raises:
            TaskError: The text is not JSON, or a field is missing or of the wrong kind.
        """
        try:
            content = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise TaskError(
                f"a pool must be JSON, but {text[:60]!r} is not: {error}. If it was cut off, "
                "look at what stored it."
            ) from error
        rows = content.get("candidates") if isinstance(content, dict) else None
        if not isinstance(rows, list):
            raise TaskError(
                f'a pool must look like {{"candidates": [{{…}}, …]}}, but this is {text[:60]!r}.'
            )
        return cls(tuple(_read_candidate(row, index=i) for i, row in enumerate(rows)))


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_text_or_none(value: object) -> bool:
    return value is None or isinstance(value, str)


def _is_count(value: object) -> bool:
    # bool is a kind of int to Python, but true is not a count.
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_bool(value: object) -> bool:
    return isinstance(value, bool)


_REQUIRED: dict[str, tuple[Callable[[object], bool], str]] = {
    "text": (_is_text, "text"),
    "answer": (_is_text_or_none, "text or null"),
    "thoughts": (_is_count, "a count of at least 0"),
    "answer_tokens": (_is_count, "a count of at least 0"),
    "truncated": (_is_bool, "true or false"),
}


def _read_candidate(row: object, *, index: int) -> Candidate:
    if not isinstance(row, Mapping):
        raise TaskError(f"candidate {index} of the pool is {row!r}, not a JSON object.")
    for field, (fits, wanted) in _REQUIRED.items():
        if field not in row:
            raise TaskError(
                f"candidate {index} of the pool lacks {field!r}; needed are {list(_REQUIRED)}."
            )
        if not fits(row[field]):
            raise TaskError(
                f"candidate {index} of the pool: {field!r} is {row[field]!r}, but must be {wanted}."
            )
    steps = row.get("step_rewards")
    if steps is not None and not isinstance(steps, list):
        raise TaskError(
            f"candidate {index} of the pool: 'step_rewards' is {steps!r}, but must be a list."
        )
    return Candidate(
        **{field: row[field] for field in _REQUIRED},
        reward=_read_reward(row.get("reward"), index=index),
        step_rewards=None
        if steps is None
        else tuple(_nan_for_none(_read_reward(step, index=index)) for step in steps),
    )


def _read_reward(value: object, *, index: int) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TaskError(
            f"candidate {index} of the pool: reward {value!r} must be a number or null."
        )
    try:
        return _none_for_nan(float(value))
    except OverflowError:  # an integer beyond float64
        return None


def _nan_for_none(value: float | None) -> float:
    return math.nan if value is None else value


def _write_candidate(candidate: Candidate) -> dict[str, Any]:
    row = {field: getattr(candidate, field) for field in _REQUIRED}
    if candidate.reward is not None:
        row["reward"] = _none_for_nan(candidate.reward)
    if candidate.step_rewards is not None:
        row["step_rewards"] = [_none_for_nan(step) for step in candidate.step_rewards]
    return row


def _none_for_nan(value: float) -> float | None:
    return value if math.isfinite(value) else None

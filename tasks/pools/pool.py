"""The N candidates of one question, as plain JSON.

A pool is what every estimator, vote and leaderboard row is computed from. Its JSON is
`{"candidates": [{"text", "answer", "thoughts", "answer_tokens", "truncated"}, …]}`, with `reward`
and `step_rewards` where a reward model scored the candidates, and with `beams`, candidates too,
where beam search was done beside.
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import TaskError


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One sampled solution of a question, after all tensors are gone.

    Attributes:
        text: What the model wrote after its thoughts.
        answer: The answer read from the text, as written; None where none was found.
        thoughts: Latent thoughts, a count.
        answer_tokens: Tokens of the answer text, a count.
        truncated: Whether the token limit cut the candidate off.
        reward: The reward model's score; None where none was asked, NaN where it gave no number.
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
    """The candidates of one question.

    Attributes:
        candidates: In the order in which they were sampled, independent of each other.
        beams: What beam search ended with, the best first; empty where it was not asked for.
    """

    candidates: tuple[Candidate, ...]
    beams: tuple[Candidate, ...] = ()

    def __post_init__(self) -> None:
        """Refuses a pool without candidates, which no metric is defined for."""
        if not self.candidates:
            raise TaskError("a pool needs at least one candidate, but this one has none.")

    def to_json(self) -> str:
        """Writes the pool as strict JSON; rewards that are not finite become null."""
        content = {"candidates": [_write_candidate(candidate) for candidate in self.candidates]}
        if self.beams:
            content["beams"] = [_write_candidate(candidate) for candidate in self.beams]
        return json.dumps(content, allow_nan=False)

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
        beams = content.get("beams", [])
        if not isinstance(beams, list):
            raise TaskError(f"the pool's 'beams' must be a list of candidates, but is {beams!r}.")
        return cls(
            tuple(_read_candidate(row, name=f"candidate {i}") for i, row in enumerate(rows)),
            tuple(_read_candidate(row, name=f"beam {i}") for i, row in enumerate(beams)),
        )


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


def _read_candidate(row: object, *, name: str) -> Candidate:
    if not isinstance(row, Mapping):
        raise TaskError(f"{name} of the pool is {row!r}, not a JSON object.")
    for field, (fits, wanted) in _REQUIRED.items():
        if field not in row:
            raise TaskError(f"{name} of the pool lacks {field!r}; needed are {list(_REQUIRED)}.")
        if not fits(row[field]):
            raise TaskError(
                f"{name} of the pool: {field!r} is {row[field]!r}, but must be {wanted}."
            )
    steps = row.get("step_rewards")
    if steps is not None and not isinstance(steps, list):
        raise TaskError(f"{name} of the pool: 'step_rewards' is {steps!r}, but must be a list.")
    return Candidate(
        **{field: row[field] for field in _REQUIRED},
        reward=_read_reward(row["reward"], name=name) if "reward" in row else None,
        step_rewards=None if steps is None else tuple(_read_reward(s, name=name) for s in steps),
    )


def _read_reward(value: object, *, name: str) -> float:
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TaskError(f"{name} of the pool: reward {value!r} must be a number or null.")
    try:
        return float(value) if math.isfinite(value) else math.nan
    except OverflowError:  # an integer beyond float64
        return math.nan


def _write_candidate(candidate: Candidate) -> dict[str, Any]:
    row = {field: getattr(candidate, field) for field in _REQUIRED}
    if candidate.reward is not None:
        row["reward"] = _none_for_nan(candidate.reward)
    if candidate.step_rewards is not None:
        row["step_rewards"] = [_none_for_nan(step) for step in candidate.step_rewards]
    return row


def _none_for_nan(value: float) -> float | None:
    return value if math.isfinite(value) else None

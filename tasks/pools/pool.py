"""The N candidates of one question, and the one JSON format that holds them.

A pool is what every estimator, vote and leaderboard row is computed from. Its JSON is
`{"candidates": [{"text", "answer", "thoughts", "answer_tokens", "truncated"}, …]}`, with `sample`
and with `question` where these are known, with `reward` and `step_rewards` where a reward model
scored the candidates, with `nearest` where tokens near to their thoughts were asked for, with
`mixture` where thoughts are mixtures and were stored, and with `beams`, candidates too, where beam
search was done beside.
"""

import math
import re
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, UnsetType

from ..errors import TaskError
from ..judges import find_judge

_Count = Annotated[int, msgspec.Meta(ge=0)]

Mixed = tuple[tuple[tuple[_Count, float], ...], ...]
"""For each thought the ids of the tokens of which it is mixed, each with its weight."""


class Candidate(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One sampled solution of a question, after all tensors are gone.

    Attributes:
        text: what the model wrote after its thoughts.
        answer: the answer read from the text, as written; None where none was found.
        thoughts: latent thoughts, a count.
        answer_tokens: tokens of the answer text, a count.
        truncated: whether the token limit cut the candidate off.
        reward: the reward model's score; None where none was asked, NaN where it gave no number.
        step_rewards: the score of each thought, in order; NaN where a step has none.
        sample: its index among the question's samples; None where that is not known.
        nearest: for each thought the vocabulary tokens that it is nearest to; None where they were
            not asked for (`nearest_tokens=`).
        mixture: of which tokens each thought is mixed, where it is and thoughts are stored
            (`store_thoughts=true`); else None.
    """

    text: str
    answer: str | None
    thoughts: _Count
    answer_tokens: _Count
    truncated: bool
    reward: float | None = None
    step_rewards: tuple[float, ...] | None = None
    sample: _Count | None = None
    nearest: tuple[tuple[str, ...], ...] | None = None
    mixture: Mixed | None = None

    @classmethod
    def of_answer(
        cls, answer: str | None, *, text: str | None = None, reward: float | None = None
    ) -> "Candidate":
        """Return a candidate of which no more is known: its counts are 0.

        Args:
            answer: the answer as written; None where there is none.
            text: in which it stood; the answer alone if None.
            reward: as of any candidate.
        """
        return cls(
            text=(answer or "") if text is None else text,
            answer=answer,
            thoughts=0,
            answer_tokens=0,
            truncated=False,
            reward=reward,
        )


class Stopped(msgspec.Struct, frozen=True):
    """That sampling ended where a question's vote was settled, or might have.

    Attributes:
        rule: which told so, with its parameters.
        most: samples that might have been spent.
        least: samples that are drawn of every question, so that these alone are no selection.
    """

    rule: str
    most: Annotated[int, msgspec.Meta(ge=1)]
    least: Annotated[int, msgspec.Meta(ge=1)]


class Pool(msgspec.Struct, frozen=True, omit_defaults=True):
    """The candidates of one question.

    Attributes:
        candidates: in the order in which they were sampled, independent of each other.
        beams: what beam search ended with, the best first; empty where it was not asked for.
        question: its question's id; None where that is not known.
        judge: the name of the judge that says which answers vote together; its task's metadata
            have it, JSON does not.
        stop: how sampling was to end before N; None where all N samples were drawn.
    """

    candidates: tuple[Candidate, ...]
    beams: tuple[Candidate, ...] = ()
    question: str | None = None
    judge: str = "number"
    stop: Stopped | None = None

    @property
    def keys(self) -> tuple[str | None, ...]:
        """What each candidate votes for, equal where they vote together; None for no vote."""
        answers = [candidate.answer for candidate in self.candidates]
        return find_judge(self.judge).keys(answers)

    def judged_by(self, name: str) -> "Pool":
        """Return the same pool under another judge."""
        return self if name == self.judge else msgspec.structs.replace(self, judge=name)

    def __post_init__(self) -> None:
        """Refuse a pool without candidates, which no metric is defined for."""
        if not self.candidates:
            raise TaskError("a pool needs at least one candidate, but this one has none.")

    def to_json(self) -> str:
        """Write the pool as strict JSON; rewards that are not finite become null."""
        return msgspec.json.encode(self.judged_by("number")).decode()

    @classmethod
    def from_json(cls, text: str | bytes) -> "Pool":
        """Read a pool; fields that this version does not know are dropped.

        Args:
            text: what `to_json` wrote, or another program in the same format.

        Returns:
            The pool.

        Raises:
            TaskError: the text is not JSON, or a field is missing or of the wrong kind.
        """
        try:
            found = _DECODER.decode(text)
        except msgspec.ValidationError as error:
            raise TaskError(_explain(error, text)) from error
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            deep = "it is nested too deeply" if isinstance(error, RecursionError) else error
            raise TaskError(
                f"a pool must be JSON, but {text[:60]!r} is not: {deep}. If it was cut off, "
                "look at what stored it."
            ) from error
        candidates = tuple(map(_finish, found.candidates))
        beams = tuple(map(_finish, found.beams))
        return cls(candidates, beams, found.question, stop=found.stop)


class _Candidate(Candidate, frozen=True, kw_only=True, gc=False):
    """A candidate as JSON has it: null is a reward that is no number, and no field none at all."""

    reward: float | UnsetType | None = UNSET  # type: ignore[assignment]
    step_rewards: tuple[float | None, ...] | None = None  # type: ignore[assignment]


class _Pool(msgspec.Struct):
    candidates: tuple[_Candidate, ...]
    beams: tuple[_Candidate, ...] = ()
    question: str | None = None
    stop: Stopped | None = None


_DECODER = msgspec.json.Decoder(_Pool)


def _finish(row: Any) -> Candidate:
    return Candidate(
        text=row.text,
        answer=row.answer,
        thoughts=row.thoughts,
        answer_tokens=row.answer_tokens,
        truncated=row.truncated,
        reward=None if row.reward is UNSET else _number(row.reward),
        step_rewards=row.step_rewards and tuple(map(_number, row.step_rewards)),
        sample=row.sample,
        nearest=row.nearest,
        mixture=row.mixture,
    )


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _explain(error: msgspec.ValidationError, text: str | bytes) -> str:
    """Return the decoder's message with the candidate and the field called by their names."""
    reason, _, path = str(error).partition(" - at `$.")
    place = re.match(r"(candidate|beam)s\[(\d+)\](?:\.(\w+))?", path)
    if place is None:
        return (
            f'a pool must look like {{"candidates": [{{…}}, …]}}, but this is {text[:60]!r}: '
            f"{error}."
        )
    kind, number, field = place.groups()
    if missing := re.fullmatch(r"Object missing required field `(\w+)`", reason):
        return f"{kind} {number} of the pool lacks {missing[1]!r}."
    return f"{kind} {number} of the pool{f', {field!r}' if field else ''}: {reason}."

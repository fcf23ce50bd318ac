"""Which of lm-eval's requests ask the same question, and which part of its samples each gets."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any

from lm_eval.api.instance import Instance

_POOL = "latent_tts_settings"  # an attribute: other models refuse settings that they do not know


def wish_for_pool(request: Instance, *, least: int | None, judge: str = "number") -> None:
    """Mark a request of a task that wants the pool, and take what says so out of its settings.

    Args:
        request: as the task built it, with `return_pool` among its settings or not.
        least: candidates that the task's largest k needs; None if it has no say.
        judge: the name of the judge of the answers.
    """
    prompt, given = request.args
    wish: dict[str, Any] = {} if least is None else {"min_candidates": least}
    if judge != "number":
        wish["judge"] = judge
    if given.get("return_pool"):
        setattr(request, _POOL, {**given, **wish})
    request.arguments = (prompt, {k: v for k, v in given.items() if k != "return_pool"})


def is_ours(request: Instance) -> bool:
    """Tell whether a request was built by a task of this project, which checks its own prompts."""
    return hasattr(request, _POOL)


@dataclass(frozen=True, kw_only=True)
class AskedQuestion:
    """A question of one task, asked once, answered `repeats` times.

    Attributes:
        task: name of the task.
        id: the question's own id, else its number in the task; None where lm-eval gives neither.
        arguments: the prompt and the generation settings, as the task gave them.
        repeats: how many responses lm-eval wants.
        indices: of its requests, in order; more of them than `repeats` get the same responses.
    """

    task: str
    id: str | None
    arguments: tuple[str, Mapping[str, Any]]
    repeats: int
    indices: tuple[int, ...]

    @property
    def prompt(self) -> str:
        """The text that is answered."""
        return self.arguments[0]


def group_requests(requests: Sequence[Instance]) -> list[AskedQuestion]:
    """Return the questions that requests ask, in the order in which they are first asked.

    Requests ask the same question if task, document and arguments are the same, whether lm-eval
    repeats one object or copies it.
    """
    members: dict[str, list[int]] = {}
    for index, request in enumerate(requests):
        key = json.dumps(
            [request.task_name, request.doc_id, *_asked(request)], sort_keys=True, default=str
        )
        members.setdefault(key, []).append(index)
    return [_question(requests[indices[0]], indices) for indices in members.values()]


def _asked(request: Instance) -> tuple[str, Mapping[str, Any]]:
    prompt, given = request.args
    return prompt, getattr(request, _POOL, given)


def _question(request: Instance, indices: Sequence[int]) -> AskedQuestion:
    own = request.doc.get("id") if isinstance(request.doc, Mapping) else None
    number = None if request.doc_id is None else str(request.doc_id)
    return AskedQuestion(
        task=str(request.task_name),
        id=number if own is None else str(own),
        arguments=_asked(request),
        repeats=request.repeats or 1,
        indices=tuple(indices),
    )


def assign_responses(
    answered: Iterable[tuple[AskedQuestion, Sequence[str]]], count: int
) -> list[str]:
    """Return one response for each request; what is more than `repeats` gets the same ones again.

    Args:
        answered: each question with its `repeats` responses.
        count: of requests.
    """
    responses = [""] * count
    for question, texts in answered:
        for index, text in zip(question.indices, cycle(texts), strict=False):
            responses[index] = text
    return responses

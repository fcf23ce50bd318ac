"""What a model returned for a question: a pool as JSON, or plain text."""

import re

from ..answers import final_answer
from ..errors import TaskError
from .pool import Candidate, Pool

# A list of objects that begin as candidates do, or a pool that was cut off before one did.
_FIELD = (
    r'"(?:(?:text|answer|thoughts|answer_tokens|truncated|reward|step_rewards|sample)"|[a-z_]*$)'
)
_POOL = re.compile(rf'"candidates"\s*:\s*(?:\[\s*(?:\]|\{{\s*(?:{_FIELD}|$)|$)|$)')


def is_pool(response: str) -> bool:
    """Tell whether a response means to be a pool; a damaged one still does.

    Args:
        response: what the model returned.

    Returns:
        False for plain text, and for JSON of a model that answers in JSON.
    """
    return response.lstrip().startswith("{") and _POOL.search(response) is not None


def read_response(
    response: str, *, pattern: re.Pattern[str] | None = None, judge: str = "number"
) -> Pool:
    """Read a response as a pool; plain text is a pool of one candidate.

    So other models of lm-eval, which return text, are judged by the same tasks and filters. Text
    says nothing about thoughts and tokens: these counts are 0 there.

    Args:
        response: a pool as JSON, or any text.
        pattern: where the answer stands in plain text: the first match counts, of it the first
            group that matched. Without a pattern `final_answer` finds it.
        judge: the name of the judge of the task's answers.

    Returns:
        The pool.

    Raises:
        TaskError: the response is not text, or is a damaged pool.
    """
    if not isinstance(response, str):
        raise TaskError(
            f"a response must be a pool as JSON or text, but this one is {response!r}. "
            "Use a model that generates text."
        )
    if is_pool(response):
        return Pool.from_json(response).judged_by(judge)
    if pattern is None:
        answer = final_answer(response, number=judge == "number")
    else:
        answer = _first_match(response, pattern)
    return Pool((Candidate.of_answer(answer, text=response),), judge=judge)


def join_pools(pools: list[Pool]) -> Pool:
    """Return one pool of all candidates, in order.

    Args:
        pools: pools of the same question.

    Returns:
        Their concatenation; of several pools with beams those of the first, which are one search.
    """
    candidates = tuple(candidate for pool in pools for candidate in pool.candidates)
    first = pools[0]
    return Pool(candidates, first.beams, first.question, first.judge, first.stop)


def _first_match(text: str, pattern: re.Pattern[str]) -> str | None:
    match = pattern.search(text)
    if match is None:
        return None
    groups = [group for group in match.groups() if group]
    return groups[0] if groups else match.group()

"""The page of one run: its questions, candidates, votes and rewards.

The page's data is a script beside it, because a page opened from disk may not fetch files. Each
question's pool is JSON in a string of its own, which the page parses when the question is opened.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from ...tasks import read_tolerance
from ..errors import ResultsError
from ..run import Problem, Run
from .cautions import DAMAGE
from .logs import LoggedCandidate, LoggedQuestion, read_questions
from .templating import render, write_text
from .votes import OUTCOMES, Votes, choices, count_votes, judge, weigh_votes

_DECIMALS = 4  # of rewards on the page
_SURPLUS_DIGITS = re.compile(rb"(?<=\.\d{3})\d+")  # of JSON's numbers


@dataclass(frozen=True, kw_only=True)
class PageJob:
    """What it takes to write one run's page, small enough to hand to another process.

    Attributes:
        run: whose page.
        strategies: name -> metric with all candidates, shown for each question.
        facts: label -> text, shown on top.
        rows: of the leaderboard that are this run's.
        folder: where the page goes.
        slug: the page's name without its ending.
        siblings: task -> slug of the pages of the same run's other tasks.
    """

    run: Run
    strategies: dict[str, str]
    facts: dict[str, str]
    rows: Sequence[dict[str, Any]]
    folder: Path
    slug: str
    siblings: dict[str, str] = field(default_factory=dict)


def write_page(job: PageJob) -> Problem | None:
    """Write a run's page and its data.

    Args:
        job: what to write.

    Returns:
        What is wrong with the run's sample log; then there is no page.
    """
    script = job.folder / f"{job.slug}.js"
    try:
        with script.open("wb") as stream:
            for chunk in _script(job):
                stream.write(chunk)
        page = render("run.html.jinja", job=job, outcomes=OUTCOMES)
        write_text(job.folder / f"{job.slug}.html", page)
    except DAMAGE as error:
        script.unlink()
        known = isinstance(error, ResultsError)
        reason = f"{error}" if known else f"cannot be shown ({error!r}). Run lm_eval again."
        return Problem(job.run.samples, f"{reason} It has no page.", skipped=False)
    return None


def _script(job: PageJob) -> Iterator[bytes]:
    tolerance = read_tolerance(job.run.tolerance)
    columns: dict[str, list[Any]] = {}
    for question in read_questions(job.run, tuple(job.strategies.values())):
        votes = count_votes(question.candidates, question.gold, tolerance=tolerance)
        for name, value in _summary(question, votes, job.strategies).items():
            columns.setdefault(name, []).append(value)
        yield _call("pool", _pool(question, votes, tolerance))
    yield _call("questions", columns)


def _call(function: str, content: object) -> bytes:
    """Return a script's call with JSON in single quotes, where double quotes need no escape."""
    text = msgspec.json.encode(content).replace(b"\\", b"\\\\").replace(b"'", b"\\'")
    return b"runPage.%s('%s');\n" % (function.encode(), text)


def _summary(
    question: LoggedQuestion, votes: Votes, strategies: dict[str, str]
) -> dict[str, object]:
    """Return the question's row in the page's table."""
    winner = votes.winner
    return {
        "id": question.id,
        "question": question.text,
        "gold": question.gold,
        "voted": None if winner is None else votes.answers[winner],
        "votes": 0 if winner is None else votes.counts[winner],
        "right": votes.right_votes,
        "n": len(question.candidates),
        "answers": len(votes.answers),
        "outcome": votes.outcome,
        **{name: question.outcomes[metric] for name, metric in strategies.items()},
    }


def _pool(question: LoggedQuestion, votes: Votes, tolerance: Decimal) -> dict[str, object]:
    """Return a pool column by column; a text that candidates share is written once."""
    candidates = question.candidates
    texts: dict[tuple[str, str | None], int] = {}
    of_candidate = [texts.setdefault((c.text, c.answer), len(texts)) for c in candidates]
    pool: dict[str, object] = {
        "answers": votes.answers,
        "right": [int(right) for right in votes.right],
        "vote": _column(votes.of_candidate),
        "texts": list(texts),
        "text": _column(of_candidate),
        "thoughts": _column([c.thoughts for c in candidates]),
        "tokens": _column([c.answer_tokens for c in candidates]),
        "truncated": _column([int(c.truncated) for c in candidates]),
    }
    if any(c.reward is not None for c in candidates):
        pool["reward"] = [_rounded(c.reward) for c in candidates]
        pool["weight"] = [_rounded(weight) for weight in weigh_votes(question, votes)]
    steps = _steps(candidates)
    if b"[" in steps:
        pool["steps"] = msgspec.Raw(b"[%s]" % steps)
    if question.beams:
        pool["beams"] = [
            _beam(c, judge(c.answer, question.gold, tolerance=tolerance)) for c in question.beams
        ]
    pool["chosen"] = choices(question, votes)
    return pool


def _steps(candidates: Iterable[LoggedCandidate]) -> bytes:
    """Return candidates' rewards of thoughts as JSON with few digits, comma between."""
    steps = b",".join(bytes(c.step_rewards) for c in candidates)
    return _SURPLUS_DIGITS.sub(b"", steps).translate(None, b" ")


def _column(values: list[int]) -> int | list[int]:
    """Return one value where all are the same."""
    return values[0] if values.count(values[0]) == len(values) else values


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, _DECIMALS)


def _beam(candidate: LoggedCandidate, right: bool | None) -> list[object]:
    return [
        candidate.text,
        candidate.answer,
        candidate.thoughts,
        candidate.answer_tokens,
        int(candidate.truncated),
        _rounded(candidate.reward),
        right,
        msgspec.Raw(_steps([candidate])),
    ]

"""The page of one run: its questions, candidates, votes and rewards.

The page's data is a script beside it, because a page opened from disk may not fetch files. Each
question's pool is JSON in a string of its own, which the page parses when the question is opened.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import msgspec

from ....tasks import (
    STRATEGIES,
    Candidate,
    Judge,
    Pool,
    find_judge,
    find_strategy,
    read_tolerance,
)
from ...errors import ResultsError
from ...runs.log import LoggedQuestion, read_log
from ...runs.record import Problem, Run
from .templating import render, write_text
from .votes import OUTCOMES, Votes, choices, count_votes, weigh_votes

VOTE = find_strategy("voting").name
"""The strategy that a page is about; the others have columns beside it."""

_DECIMALS, _STEP_DECIMALS = 4, 3  # of rewards on the page


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
    rows: Sequence[dict[str, object]]
    folder: Path
    slug: str
    siblings: dict[str, str] = field(default_factory=dict)


def write_page(job: PageJob) -> Problem | None:
    """Write a run's page and its data; return what is wrong with its log where there is none."""
    script = job.folder / f"{job.slug}.js"
    try:
        with script.open("wb") as stream:
            for chunk in _script(job):
                stream.write(chunk)
        page = render("run.html.jinja", job=job, outcomes=OUTCOMES, columns=_columns(job))
        write_text(job.folder / f"{job.slug}.html", page)
    except (ValueError, TypeError) as error:  # what a damaged log or half a character raises
        script.unlink()
        known = isinstance(error, ResultsError)
        reason = f"{error}" if known else f"cannot be shown ({error!r}). Run lm_eval again."
        return Problem(job.run.samples, f"{reason} It has no page.", skipped=False)
    return None


def _columns(job: PageJob) -> list[tuple[str, str]]:
    """Return name and title of the strategies that have a column beside the vote's."""
    return [
        (name, STRATEGIES[name].title if name in STRATEGIES else name)
        for name, metric in job.strategies.items()
        if name != VOTE and "pass@" not in metric
    ]


def _script(job: PageJob) -> Iterator[bytes]:
    tolerance = read_tolerance(job.run.tolerance)
    columns: dict[str, list[object]] = {}
    for logged in read_log(job.run, tuple(job.strategies.values())):
        pool = logged.pool()
        pool = Pool(pool.candidates[: job.run.config.samples], pool.beams, judge=pool.judge)
        votes = count_votes(pool, logged.question.gold, tolerance=tolerance)
        for name, value in _summary(logged, votes, job.strategies).items():
            columns.setdefault(name, []).append(value)
        yield _call("pool", _pool(pool, votes, logged.question.gold, tolerance))
    yield _call("questions", columns)


def _call(function: str, content: object) -> bytes:
    """Return a script's call with JSON in single quotes, where double quotes need no escape."""
    text = msgspec.json.encode(content).replace(b"\\", b"\\\\").replace(b"'", b"\\'")
    return b"runPage.%s('%s');\n" % (function.encode(), text)


def _summary(logged: LoggedQuestion, votes: Votes, strategies: dict[str, str]) -> dict[str, object]:
    """Return the question's row in the page's table."""
    winner, question = votes.winner, logged.question
    return {
        "id": question.id,
        "question": question.text,
        "gold": question.gold,
        "voted": None if winner is None else votes.answers[winner],
        "votes": 0 if winner is None else votes.counts[winner],
        "right": votes.right_votes,
        "n": len(votes.of_candidate),
        "answers": len(votes.answers),
        "outcome": votes.outcome,
        **{name: logged.metrics.get(metric) for name, metric in strategies.items()},
    }


def _pool(pool: Pool, votes: Votes, gold: str, tolerance: Decimal) -> dict[str, object]:
    """Return a pool column by column; a text that candidates share is written once."""
    candidates = pool.candidates
    texts: dict[tuple[str, str | None], int] = {}
    of_candidate = [texts.setdefault((c.text, c.answer), len(texts)) for c in candidates]
    columns: dict[str, object] = {
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
        columns["reward"] = [_rounded(c.reward) for c in candidates]
        columns["weight"] = [_rounded(weight) for weight in weigh_votes(candidates, votes)]
    if any(c.step_rewards is not None for c in candidates):
        columns["steps"] = [_steps(c) for c in candidates]
    if pool.beams:
        judge = find_judge(pool.judge)
        columns["beams"] = [_beam(beam, gold, tolerance, judge) for beam in pool.beams]
    columns["chosen"] = choices(pool, votes)
    return columns


def _steps(candidate: Candidate) -> list[float] | None:
    steps = candidate.step_rewards
    return None if steps is None else [round(step, _STEP_DECIMALS) for step in steps]


def _column(values: list[int]) -> int | list[int]:
    """Return one value where all are the same."""
    return values[0] if values.count(values[0]) == len(values) else values


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, _DECIMALS)


def _beam(beam: Candidate, gold: str, tolerance: Decimal, judge: Judge) -> list[object]:
    key = judge.key(beam.answer)
    return [
        beam.text,
        beam.answer,
        beam.thoughts,
        beam.answer_tokens,
        int(beam.truncated),
        _rounded(beam.reward),
        None if key is None else judge.is_right(key, gold, tolerance=tolerance),
        _steps(beam),
    ]

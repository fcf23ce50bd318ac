"""The page of one run: its questions, candidates, votes and rewards.

The page's data is a script beside it, because a page opened from disk may not fetch files. Each
question's pool is JSON in a string of its own, which the page parses when the question is opened.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

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
from ...runs.same import gold_key
from .templating import render, write_text
from .votes import OUTCOMES, Votes, choices, count_votes, weigh_votes

VOTE = find_strategy("voting").name
"""The strategy that a page is about; the others have columns beside it."""

_DECIMALS, _STEP_DECIMALS = 6, 2  # of rewards; the page rounds to fewer, but for those of steps


@dataclass(frozen=True, kw_only=True)
class PageJob:
    """What it takes to write one run's page, small enough to hand to another process.

    Attributes:
        run: whose page.
        asked: how many questions, `20 of 1319` where --limit left some out.
        caution: why it is not comparable with other runs, "" where it is.
        strategies: name -> metric with all candidates, shown for each question.
        metrics: whose scores are wanted back, one a question.
        facts: label -> text, shown on top.
        rows: of the leaderboard that are this run's.
        folder: where the page goes.
        slug: the page's name without its ending.
        siblings: task -> slug of the pages of the same run's other tasks.
    """

    run: Run
    asked: str = ""
    caution: str = ""
    strategies: dict[str, str]
    metrics: Sequence[str] = ()
    facts: dict[str, str]
    rows: Sequence[dict[str, object]]
    folder: Path
    slug: str
    siblings: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Page:
    """What became of a run's page, and what its log told the board.

    Attributes:
        problem: what is wrong with the log, where there is no page.
        questions: a digest of all ids and gold answers, by which runs are known to be paired.
        outcomes: of `OUTCOMES` -> questions whose vote came to it, a count.
        scores: of `PageJob.metrics`, those that were logged for every question; f64[Q], in the
            order of the sorted ids.
    """

    problem: Problem | None = None
    questions: str = ""
    outcomes: dict[str, int] = field(default_factory=dict)
    scores: dict[str, NDArray[np.float64]] = field(default_factory=dict)


def write_page(job: PageJob) -> Page:
    """Write a run's page and its data, where its log can be read."""
    script = job.folder / f"{job.slug}.js"
    table = _Table()
    try:
        with script.open("wb") as stream:
            for chunk in _script(job, table):
                stream.write(chunk)
        page = render("run.html.jinja", job=job, outcomes=OUTCOMES)
        write_text(job.folder / f"{job.slug}.html", page)
    except (ValueError, TypeError) as error:  # what a damaged log or half a character raises
        script.unlink()
        known = isinstance(error, ResultsError)
        reason = f"{error}" if known else f"cannot be shown ({error!r}). Run lm_eval again."
        return Page(problem=Problem(job.run.samples, f"{reason} It has no page.", skipped=False))
    ids = table.columns["id"]
    order = sorted(range(len(ids)), key=lambda index: str(ids[index]))
    golds = [str(gold) for gold in table.columns["gold"]]
    asked = [(ids[index], gold_key(golds[index])) for index in order]
    return Page(
        questions=hashlib.sha256(msgspec.json.encode(asked)).hexdigest(),
        outcomes={outcome: table.columns["outcome"].count(outcome) for outcome in OUTCOMES},
        scores={
            metric: np.array(values, dtype=float)[order]
            for metric, values in table.scores.items()
            if None not in values
        },
    )


@dataclass
class _Table:
    """A run's questions, column by column: those of the page, and scores by metric."""

    columns: dict[str, list[object]] = field(default_factory=dict)
    scores: dict[str, list[float | None]] = field(default_factory=dict)


def _columns(job: PageJob) -> list[tuple[str, str]]:
    """Return name and title of the strategies that have a column beside the vote's."""
    return [
        (name, STRATEGIES[name].title if name in STRATEGIES else name)
        for name, metric in job.strategies.items()
        if name != VOTE and "pass@" not in metric
    ]


def _script(job: PageJob, table: _Table) -> Iterator[bytes]:
    """Yield the script in parts; fill the table meanwhile."""
    tolerance = read_tolerance(job.run.tolerance)
    for logged in read_log(job.run, (*job.strategies.values(), *job.metrics)):
        pool = logged.pool()
        pool = Pool(pool.candidates[: job.run.config.samples], pool.beams, judge=pool.judge)
        votes = count_votes(pool, logged.question.gold, tolerance=tolerance)
        for name, value in _summary(logged, votes, job.strategies).items():
            table.columns.setdefault(name, []).append(value)
        for metric in job.metrics:
            table.scores.setdefault(metric, []).append(logged.metrics.get(metric))
        yield _call("pool", _pool(pool, votes, logged.question.gold, tolerance))
    yield _call("questions", {"strategies": _columns(job), "columns": table.columns})


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
        "gold_key": gold_key(question.gold),
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
    if any(c.nearest is not None for c in candidates):
        columns["nearest"] = [c.nearest for c in candidates]
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

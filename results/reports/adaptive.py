"""Stopping rules replayed on a run's pools: accuracy against samples spent, paired with the vote.

A replay is exact: sample i of a question is the same whatever N, so a run that stopped by the rule
would have drawn these samples and no others.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ...tasks import (
    Candidate,
    JudgedPool,
    Pool,
    TaskError,
    find_judge,
    judge_pool,
    read_tolerance,
)
from ...tasks.stopping import StoppingRule, first_of, spent
from ...tasks.strategies.voting import Voting
from ..errors import ResultsError
from ..runs.log import read_log
from ..runs.record import Run
from ..statistics import PairedDifference, paired_difference

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Replayed:
    """What a rule comes to on one task of a run.

    Attributes:
        task: its name.
        rule: with its parameters.
        most: samples of a question at most, which the full vote spends.
        samples: spent on a question, mean.
        samples_stderr: of the mean.
        saving: how many times more the full vote spends.
        stopped: share of the questions that were settled before the last sample.
        accuracy: of the answers after stopping.
        full: accuracy of the full vote.
        paired: the first less the second, question by question.
        orders: orders of the samples that were averaged over; the first is the run's own.
        questions: of each the samples spent, and whether it and the full vote are right; f64[3, Q].
    """

    task: str
    rule: str
    most: int
    samples: float
    samples_stderr: float
    saving: float
    stopped: float
    accuracy: float
    full: float
    paired: PairedDifference
    orders: int
    questions: Floats = field(repr=False, compare=False)


def replay(
    run: Run,
    rules: Sequence[StoppingRule],
    *,
    most: int | None = None,
    orders: int = 1,
    seed: int = 0,
    confidence: float = 0.95,
) -> list[Replayed]:
    """Replay stopping rules on one task of a run.

    Args:
        run: whose log is read.
        rules: those to replay.
        most: samples of a question at most; the smallest pool's if None.
        orders: how many orders of the samples to average over: the run's own, and random ones.
        seed: of the random orders.
        confidence: of the paired intervals.

    Raises:
        ResultsError: the log cannot be used, a pool was stopped itself, a pool is smaller than
            `most`, or lacks the answers or rewards that a rule needs.
    """
    if run.config.stop is not None:
        raise ResultsError(
            f"{run.name} stopped sampling early itself ({run.config.stop}), so what other rules "
            "would have drawn is not known. Replay a run without stop=."
        )
    tolerance = read_tolerance(run.tolerance)
    logged = [(one.pool(), one.question) for one in read_log(run)]
    size = min(len(pool.candidates) for pool, _ in logged)
    most = size if most is None else most
    if not find_judge(run.judge).knows_answers:
        raise ResultsError(
            f"{run.name}: of {run.task} only outcomes are known, so there are no votes to stop at."
        )
    judged = [
        [judge_pool(own, question.gold, tolerance=tolerance) for own in _orders(pool, orders, seed)]
        for pool, question in logged
    ]
    try:
        full = _shares(judged, np.full((len(judged), orders), most), _VOTE.choose)
        found = []
        for rule in rules:
            counts = np.array([[spent(rule, one.pool, most=most) for one in own] for own in judged])
            right = _shares(judged, counts, rule.choose)
            table = np.array([counts.mean(axis=1), right, full])
            early = float((counts < most).mean())
            found.append(_summary(run.task, str(rule), table, most, early, orders, confidence))
    except TaskError as error:
        raise ResultsError(f"{run.name}, {run.task}: {error}") from error
    return found


_VOTE = Voting()


def _shares(
    judged: Sequence[Sequence[JudgedPool]],
    counts: NDArray[np.int64],
    choose: Callable[[Pool], Candidate | None],
) -> Floats:
    """Return for each question the share of its orders in which the choice is right.

    Args:
        judged: the pools of each question, one an order.
        counts: i64[Q, orders], how many candidates are chosen from, the first ones.
        choose: chooses the answer.
    """
    return np.array(
        [
            np.mean(
                [
                    one.is_right(choose(first_of(one.pool, int(count))))
                    for one, count in zip(own, row, strict=True)
                ]
            )
            for own, row in zip(judged, counts, strict=True)
        ]
    )


def _orders(pool: Pool, orders: int, seed: int) -> Iterator[Pool]:
    """Yield a pool in its own order, then in random ones that follow from seed and question."""
    yield pool
    draw = np.random.default_rng([seed, *(pool.question or "").encode()])
    for _ in range(orders - 1):
        mixed = draw.permutation(len(pool.candidates))
        yield Pool(tuple(pool.candidates[i] for i in mixed), judge=pool.judge)


def _summary(
    task: str,
    rule: str,
    table: Floats,
    most: int,
    stopped: float,
    orders: int,
    confidence: float,
) -> Replayed:
    each, right, full = table
    return Replayed(
        task=task,
        rule=rule,
        most=most,
        samples=float(each.mean()),
        samples_stderr=float(each.std(ddof=1) / np.sqrt(len(each))) if len(each) > 1 else 0.0,
        saving=float(most / each.mean()),
        stopped=stopped,
        accuracy=float(right.mean()),
        full=float(full.mean()),
        paired=paired_difference(right, full, confidence=confidence),
        orders=orders,
        questions=table,
    )


def together(found: Sequence[Sequence[Replayed]], *, confidence: float = 0.95) -> list[Replayed]:
    """Return what each rule comes to on the questions of several tasks or runs.

    Args:
        found: for each task of each run the same rules, with as many samples at most.
        confidence: of the paired intervals.
    """
    rows = []
    for every in zip(*found, strict=True):
        table = np.concatenate([one.questions for one in every], axis=1)
        sizes = [one.paired.questions for one in every]
        early = float(np.average([one.stopped for one in every], weights=sizes))
        first = every[0]
        name = " and ".join(dict.fromkeys(one.task for one in every))
        rows.append(_summary(name, first.rule, table, first.most, early, first.orders, confidence))
    return rows

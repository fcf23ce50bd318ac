"""The numbers of a pool."""

import gzip
import json
import random
from decimal import Decimal
from itertools import islice
from pathlib import Path

import pytest

from latent_tts.tasks import (
    Candidate,
    Pool,
    TaskError,
    default_ks,
    find_strategy,
    is_correct,
    pool_metrics,
)

BASELINES = Path(__file__).parents[2] / "results/baselines"


def make_pool(*answers, truncated=(), thoughts=6):
    return Pool(
        tuple(
            Candidate(
                text=f"{i}: {answer}",
                answer=answer,
                thoughts=thoughts,
                answer_tokens=i,
                truncated=i in truncated,
            )
            for i, answer in enumerate(answers)
        )
    )


@pytest.mark.parametrize(
    ("n", "ks"), [(1, (1,)), (2, (1, 2)), (6, (1, 2, 4, 6)), (64, (1, 2, 4, 8, 16, 32, 64))]
)
def test_default_ks_are_powers_of_two_and_n(n, ks):
    assert default_ks(n) == ks


def test_default_ks_need_a_candidate():
    with pytest.raises(TaskError, match="n = 0"):
        default_ks(0)


def test_metrics_of_a_pool():
    metrics = pool_metrics(make_pool("18", None, "7", "18.0", truncated=[1, 2]), "18")
    assert metrics == pytest.approx(
        {
            "pass@1": 2 / 4,
            "pass@2": 1 - 1 / 6,
            "pass@4": 1.0,
            "coverage@4": 1.0,
            "voting@1": 2 / 4,
            "voting@2": 5 / 6 - 1 / 6,  # (7, 18.0) is a tie that 7 wins
            "voting@4": 1.0,
            "unparsed": 1 / 4,
            "truncated": 2 / 4,
            "thoughts": 6.0,
            "answer_tokens": 1.5,
        }
    )


def test_asked_ks_are_reported_and_n_always():
    metrics = pool_metrics(make_pool(*"7778"), "7", ks=[2])
    assert [name for name in metrics if "@" in name] == [
        "pass@2",
        "pass@4",
        "coverage@4",
        "voting@2",
        "voting@4",
    ]


def test_voting_at_n_is_whether_the_majority_is_right():
    rng = random.Random(0)
    for _ in range(200):
        n = rng.randint(1, 20)
        pool = make_pool(*rng.choices(["18", "18.0", "$7", "9", None], k=n))
        chosen = find_strategy("voting").pick(pool)
        expected = chosen is not None and is_correct(chosen.answer, "18")
        assert pool_metrics(pool, "18")[f"voting@{n}"] == float(expected)


def test_words_do_not_vote_where_numbers_are_asked_for():
    metrics = pool_metrics(make_pool("inf", "inf", "18"), "18", ks=[1])
    assert metrics["voting@3"] == 1.0
    assert metrics["unparsed"] == pytest.approx(2 / 3)


def test_a_tolerance_makes_several_answers_right():
    pool = make_pool("1.999", "2.001", "7", "7")
    assert pool_metrics(pool, "2")["coverage@4"] == 0.0
    metrics = pool_metrics(pool, "2", tolerance=Decimal("0.001"))
    assert metrics["pass@1"] == 0.5
    assert metrics["voting@4"] == 0.0  # they are still two different answers


def test_metrics_refuse_what_cannot_be_judged():
    with pytest.raises(TaskError, match="k = 8 cannot be estimated from 4 candidates"):
        pool_metrics(make_pool(*"1234"), "1", ks=[1, 8])
    with pytest.raises(TaskError, match="k = 0 cannot be estimated"):
        pool_metrics(make_pool(*"1234"), "1", ks=[0])
    with pytest.raises(TaskError, match="gold answer 'two' is not a number"):
        pool_metrics(make_pool("2"), "two")


@pytest.mark.parametrize("run", ["deterministic", "noise", "dropout"])
@pytest.mark.parametrize("task", ["arith", "arith_hard"])
def test_committed_logs_are_read_and_judged_as_ever(run, task):
    (file,) = (BASELINES / "tiny-coconut" / run).glob(f"samples_latent_tts_{task}_2*.gz")
    with gzip.open(file, "rt") as lines:
        for sample in map(json.loads, islice(lines, 25)):
            pool = Pool.from_json(sample["resps"][0][0])
            assert pool.question is None
            metrics = pool_metrics(pool, sample["target"])
            assert metrics == {name: sample[name] for name in sample["metrics"]}

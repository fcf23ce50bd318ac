"""What a reward model picks, against exhaustive enumeration of subsets."""

import math
import random
from itertools import combinations

import pytest
from msgspec.structs import replace

from latent_tts.tasks import (
    STRATEGIES,
    Candidate,
    Pool,
    TaskError,
    find_strategy,
    pool_metrics,
    voting_at_k,
)
from latent_tts.tasks.pools.estimators import MAX_SUBSETS
from latent_tts.tasks.strategies.best_of_n import best_of_n_at_k
from latent_tts.tasks.strategies.weighted_voting import weighted_voting_at_k

NAN = math.nan


def make_pool(answers, rewards, beams=()):
    def candidate(answer, reward):
        return Candidate(
            text=f"{answer}",
            answer=answer,
            thoughts=6,
            answer_tokens=2,
            truncated=False,
            reward=reward,
        )

    return Pool(
        tuple(candidate(a, r) for a, r in zip(answers, rewards, strict=True)),
        tuple(candidate(a, 0.0) for a in beams),
    )


def best(answers, rewards):
    """The candidate of the highest reward, in the plainest words."""
    winner = None
    for index, reward in enumerate(rewards):
        if reward is None or math.isnan(reward):
            continue
        if winner is None or reward > rewards[winner]:
            winner = index
    return None if winner is None else answers[winner]


def heaviest(answers, rewards):
    """The answer whose votes weigh most, in the plainest words."""
    weights = {}
    for answer, reward in zip(answers, rewards, strict=True):
        if answer is not None and reward is not None and not math.isnan(reward):
            weights[answer] = weights.get(answer, 0.0) + math.exp(reward)
    top = max(weights.values(), default=0.0)
    return next((a for a, weight in weights.items() if weight >= top * (1 - 1e-9)), None)


@pytest.mark.parametrize("seed", range(60))
def test_both_are_the_share_of_subsets_that_pick_right(seed):
    rng = random.Random(seed)
    n = rng.randint(1, 9)
    answers = rng.choices(["1", "2", "3", None], k=n)
    rewards = [rng.choice([0.0, 0.0, 1.0, rng.gauss(0, 2), NAN, None]) for _ in range(n)]
    right = {"1"} if seed % 2 else {"1", "3"}
    ks = range(1, n + 1)
    found_best = best_of_n_at_k(rewards, right=[a in right for a in answers], ks=ks)
    found_weighted = weighted_voting_at_k(answers, rewards, right=right, ks=ks)
    for k in ks:
        subsets = list(combinations(range(n), k))
        for pick, found in ((best, found_best), (heaviest, found_weighted)):
            chosen = [pick([answers[i] for i in s], [rewards[i] for i in s]) for s in subsets]
            expected = sum(answer in right for answer in chosen) / len(subsets)
            assert found[k] == pytest.approx(expected, abs=1e-12)


def test_equal_rewards_vote_as_the_plain_vote():
    rng = random.Random(1)
    for _ in range(20):
        answers = rng.choices(["1", "2", "3", None], k=10)
        ks = range(1, 11)
        weighted = weighted_voting_at_k(answers, [0.1] * 10, right=["1"], ks=ks)
        plain = voting_at_k(answers, right=["1"], ks=ks)
        assert weighted == pytest.approx(plain, abs=1e-12)


def test_large_pools_are_estimated_without_bias():
    # Equal weights, where the exact value over all subsets is known by another algorithm.
    rng = random.Random(2)
    errors, bound = [], 0.5 / math.sqrt(MAX_SUBSETS)
    for _ in range(30):
        answers = rng.choices("1234", weights=[3, 3, 2, 1], k=64)
        for k in (8, 16, 32):
            found = weighted_voting_at_k(answers, [0.0] * 64, right=["1"], ks=[k])[k]
            errors.append(found - voting_at_k(answers, right=["1"], ks=[k])[k])
    assert max(map(abs, errors)) < 4 * bound
    assert abs(sum(errors)) / len(errors) < 2 * bound / math.sqrt(30)
    assert any(errors)  # it is an estimate there


def test_a_reward_far_below_the_others_still_wins_alone():
    found = weighted_voting_at_k(["1", "2"], [-5000.0, 0.0], right=["1"], ks=[1, 2])
    assert found == {1: 0.5, 2: 0.0}


def test_a_k_beyond_the_pool_is_refused():
    with pytest.raises(TaskError, match="k = 3 cannot be estimated from 2 candidates"):
        best_of_n_at_k([0.0, 1.0], right=[True, False], ks=[3])
    with pytest.raises(TaskError, match="k = 0 cannot be estimated from 2 candidates"):
        weighted_voting_at_k(["1", "2"], [0.0, 1.0], right=["1"], ks=[0])


@pytest.mark.parametrize(
    ("how", "answers", "rewards", "winner"),
    [
        ("best_of_n", ["1", "2", "3"], [0.0, 2.0, 2.0], 1),
        ("best_of_n", ["1", "2", "3"], [NAN, None, -9.0], 2),
        ("best_of_n", ["1", "2"], [NAN, NAN], None),
        ("best_of_n", [None, "2"], [1.0, 0.0], 0),
        ("weighted", ["1", "2", "2.0"], [1.0, 0.5, 0.5], 1),
        ("weighted", ["1", "2", "2.0"], [2.0, 0.5, 0.5], 0),
        ("weighted", ["1", "2", "2", "1"], [0.0, 0.0, 0.0, 0.0], 0),
        ("weighted", [None, "2"], [9.0, NAN], None),
        ("beam_search", ["1", "2"], [0.0, 0.0], None),
    ],
)
def test_which_candidate_is_chosen(how, answers, rewards, winner):
    pool = make_pool(answers, rewards, beams=["7", "8"])
    chosen = find_strategy(how).pick(pool)
    if how == "beam_search":
        assert chosen is pool.beams[0]
    else:
        assert chosen is (None if winner is None else pool.candidates[winner])


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("best_of_n", "no candidate of the pool has a reward, which best_of_n needs"),
        ("weighted_voting", r"which weighted_voting needs. Sample with reward_model="),
        ("beam_search", r"holds no beams, .* Sample with num_beams"),
    ],
)
def test_a_pool_that_was_not_scored(how, message):
    with pytest.raises(TaskError, match=message):
        STRATEGIES[how].pick(make_pool(["1"], [None]))


def test_metrics_of_a_scored_pool():
    metrics = pool_metrics(make_pool(["1", "2", "2"], [2.0, 0.0, NAN], beams=["3", "1"]), "1")
    assert metrics["best_of_n@3"] == metrics["weighted_voting@3"] == 1.0
    assert metrics["best_of_n@1"] == metrics["weighted_voting@1"] == pytest.approx(1 / 3)
    assert metrics["best_of_n@2"] == pytest.approx(2 / 3)
    assert metrics["voting@3"] == 0.0
    assert metrics["unscored"] == pytest.approx(1 / 3)
    assert metrics["beam_search"] == 0.0
    assert pool_metrics(make_pool(["1"], [NAN], beams=["1.0"]), "1")["beam_search"] == 1.0
    assert pool_metrics(make_pool(["1"], [NAN]), "1")["best_of_n@1"] == 0.0
    assert pool_metrics(make_pool(["1", "2"], [1.0, None]), "1")["unscored"] == 0.5
    plain = pool_metrics(make_pool(["1"], [None]), "1")
    assert not {"unscored", "best_of_n@1", "weighted_voting@1", "beam_search"} & set(plain)


@pytest.mark.slow
def test_many_ties_take_little_memory_and_nan_beams_count_as_wrong():
    answers = [str(index) for index in range(200)]
    found = weighted_voting_at_k(answers, [0.0] * 200, right=["0"], ks=[1, 100])
    assert found[1] == pytest.approx(1 / 200)
    assert found[100] == pytest.approx(0.5, abs=0.05)  # the first of a subset wins its tie
    pool = make_pool(["1"], [1.0], beams=["1"])
    assert pool_metrics(pool, "1")["beam_search"] == 1.0
    spoilt = Pool(pool.candidates, tuple(replace(beam, reward=NAN) for beam in pool.beams))
    assert STRATEGIES["beam_search"].pick(spoilt) is None
    assert pool_metrics(spoilt, "1")["beam_search"] == 0.0


def test_weights_that_differ_a_little_are_no_tie():
    # The later answer weighs more by four thousandths of a per cent; that of a tie would be first.
    answers, rewards = ["1", "2"], [0.0, 4e-5]
    assert weighted_voting_at_k(answers, rewards, right=["2"], ks=[2]) == {2: 1.0}
    assert weighted_voting_at_k(answers, [0.0, 0.0], right=["2"], ks=[2]) == {2: 0.0}

"""The vote against exhaustive enumeration and against sampling."""

import itertools
import math
import random
import warnings
from collections import Counter

import numpy as np
import pytest

from latent_tts.tasks import TaskError, pass_at_k, voting_at_k
from tests.marks import slow_but


def plain_vote(answers):
    """The vote by its definition: most votes, then earliest; None never votes."""
    votes = Counter(a for a in answers if a is not None)
    best = max(votes.values(), default=0)
    return next((a for a in answers if a is not None and votes[a] == best), None)


def enumerated_vote(answers, right, k):
    subsets = list(itertools.combinations(answers, k))
    return sum(plain_vote(subset) in right for subset in subsets) / len(subsets)


@pytest.mark.parametrize("n", slow_but(range(1, 6), *range(1, 5)))
def test_voting_equals_enumeration_for_every_small_pool(n):
    for answers in itertools.product(["a", "b", "c", None], repeat=n):
        for right in ({"a"}, {"a", "b"}):
            voting = voting_at_k(answers, right=right, ks=range(1, n + 1))
            for k, value in voting.items():
                assert value == pytest.approx(enumerated_vote(answers, right, k), abs=1e-12)


def test_voting_equals_enumeration_for_pools_of_eight():
    rng = random.Random(0)
    for _ in range(100):
        answers = rng.choices(["a", "b", "c", "d", "e", None], weights=[4, 3, 2, 1, 1, 2], k=8)
        right = set(rng.sample("abcdex", rng.randint(0, 3)))
        voting = voting_at_k(answers, right=right, ks=range(1, 9))
        for k, value in voting.items():
            assert value == pytest.approx(enumerated_vote(answers, right, k), abs=1e-12)


def test_voting_with_one_candidate_is_pass_at_1_and_with_all_is_the_plain_vote():
    rng = random.Random(1)
    for n in (1, 2, 7, 64, 200):
        for _ in range(20):
            answers = rng.choices(["a", "b", "c", "d", None], weights=[5, 5, 2, 1, 3], k=n)
            voting = voting_at_k(answers, right={"a"}, ks=[1, n])
            assert voting[1] == pytest.approx(pass_at_k(n=n, c=answers.count("a"), k=1))
            assert voting[n] == float(plain_vote(answers) == "a")


def test_ties_go_to_the_answer_that_was_given_first():
    assert voting_at_k(["a", "b", "b", "a"], right={"a"}, ks=[4]) == {4: 1.0}
    assert voting_at_k(["b", "a", "a", "b"], right={"a"}, ks=[4]) == {4: 0.0}
    assert voting_at_k([None, None, None, "a"], right={"a"}, ks=[1, 4]) == {1: 0.25, 4: 1.0}


def test_nobody_votes_and_nobody_is_right():
    assert voting_at_k([None] * 4, right={"a"}, ks=[1, 4]) == {1: 0.0, 4: 0.0}
    assert voting_at_k(["a"] * 4, right=set(), ks=[1, 4]) == {1: 0.0, 4: 0.0}
    assert voting_at_k(["a"] * 4, right={"a"}, ks=[]) == {}


WEIGHTS = [(64, [10, 9, 4, 1, 3]), (1024, [10, 10, 1, 1, 1]), (1024, [1, 0, 1, 0, 0])]


@pytest.mark.parametrize(("n", "weights"), slow_but(WEIGHTS, WEIGHTS[0]))
def test_voting_agrees_with_sampled_subsets(n, weights):
    rng = np.random.default_rng(2)
    letters = np.array(["a", "b", "c", "d", ""])
    answers = letters[rng.choice(5, size=n, p=np.array(weights) / sum(weights))]
    pool = [a or None for a in answers.tolist()]
    ks = [1, 2, 4, 8, 16, 32, n // 2]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # an overflow would warn
        voting = voting_at_k(pool, right={"a"}, ks=ks)
    draws = 500
    for k in ks:
        chosen = [np.sort(rng.choice(n, size=k, replace=False)) for _ in range(draws)]
        wins = sum(plain_vote([pool[i] for i in indices]) == "a" for indices in chosen)
        error = math.sqrt(max(voting[k] * (1 - voting[k]), 1e-9) / draws)
        assert abs(wins / draws - voting[k]) < 4 * error + 1e-9


def test_a_sure_win_is_at_most_one():
    for n in (64, 333, 1024):
        voting = voting_at_k(["a"] * n, right={"a"}, ks=range(1, n + 1))
        assert all(1 - 1e-9 < value <= 1.0 for value in voting.values())


def test_voting_refuses_impossible_sizes():
    with pytest.raises(TaskError, match=r"k = 3 cannot be estimated from 2 candidates"):
        voting_at_k(["a", "b"], right={"a"}, ks=[1, 3])
    with pytest.raises(TaskError, match="k = 0 cannot be estimated"):
        voting_at_k(["a"], right={"a"}, ks=[0])
    with pytest.raises(TaskError, match="at most 1024 candidates, but the pool has 1025"):
        voting_at_k(["a"] * 1025, right={"a"}, ks=[1])

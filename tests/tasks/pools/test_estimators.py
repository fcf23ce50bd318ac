"""pass@k against exhaustive enumeration, and the subsets that other estimates run over."""

import itertools
import math

import numpy as np
import pytest

from latent_tts.tasks import TaskError, coverage_at_n, pass_at_k
from latent_tts.tasks.pools.estimators import MAX_SUBSETS, subsets


@pytest.mark.parametrize("n", range(1, 9))
def test_pass_at_k_is_the_share_of_subsets_with_a_right_answer(n):
    for c, k in itertools.product(range(n + 1), range(1, n + 1)):
        pool = [True] * c + [False] * (n - c)
        subsets = list(itertools.combinations(pool, k))
        assert pass_at_k(n=n, c=c, k=k) == sum(map(any, subsets)) / len(subsets)


def test_pass_at_k_is_exact_for_large_pools():
    assert pass_at_k(n=1024, c=1, k=512) == 0.5
    assert pass_at_k(n=10_000, c=9_999, k=5_000) == 1.0
    assert pass_at_k(n=10_000, c=0, k=5_000) == 0.0


def test_coverage_is_whether_any_candidate_is_right():
    assert coverage_at_n(n=64, c=0) == 0.0
    assert coverage_at_n(n=64, c=1) == 1.0


@pytest.mark.parametrize(("n", "c", "k"), [(4, 2, 5), (4, 2, 0), (4, 2, -1), (0, 0, 0)])
def test_pass_at_k_needs_k_candidates(n, c, k):
    with pytest.raises(TaskError, match=rf"k = {k} cannot be estimated from {n} candidates"):
        pass_at_k(n=n, c=c, k=k)


@pytest.mark.parametrize("c", [-1, 5])
def test_pass_at_k_needs_a_possible_count(c):
    with pytest.raises(TaskError, match=rf"c = {c} of n = 4"):
        pass_at_k(n=4, c=c, k=2)


@pytest.mark.parametrize(("n", "k"), [(1, 1), (6, 3), (12, 6), (64, 8), (64, 64)])
def test_subsets_are_all_or_as_many_random_ones(n, k):
    chosen = subsets(n, k)
    assert (chosen.sum(axis=1) == k).all()
    assert len(chosen) == min(math.comb(n, k), MAX_SUBSETS)
    if len(chosen) < MAX_SUBSETS:
        assert len(np.unique(chosen, axis=0)) == len(chosen)

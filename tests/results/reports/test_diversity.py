"""Distances of thoughts by their definition, and planes against scikit-learn's."""

import itertools

import numpy as np
import pytest
from sklearn.decomposition import PCA

from latent_tts.results.reports.diversity import Sampled, most_mixed, pairwise_distance, plane


def drawn(*lengths, seed=0, size=5):
    random = np.random.default_rng(seed)
    return [random.normal(size=(length, size)).astype(np.float32) for length in lengths]


@pytest.mark.parametrize("lengths", [(4, 4, 4), (1, 3, 5, 2), (6, 6)])
def test_the_distance_is_its_definition(lengths):
    samples = drawn(*lengths)
    pairs = [
        np.mean([1 - a[t] @ b[t] / np.sqrt((a[t] @ a[t]) * (b[t] @ b[t])) for t in range(steps)])
        for a, b in itertools.combinations(samples, 2)
        for steps in [min(len(a), len(b))]
    ]
    assert pairwise_distance(samples) == pytest.approx(np.mean(pairs), rel=1e-5)


def test_distances_at_the_edges():
    (one,) = drawn(3)
    assert pairwise_distance([one, 2 * one]) == pytest.approx(0.0, abs=1e-6)
    assert pairwise_distance([one, -one]) == pytest.approx(2.0)
    assert pairwise_distance([one, 0 * one]) == pytest.approx(1.0)
    assert pairwise_distance([one, one, one[:0]]) == pytest.approx(0.0, abs=1e-6)
    assert np.isnan(pairwise_distance([one]))
    assert np.isnan(pairwise_distance([one[:0], one[:0]]))
    assert np.isnan(pairwise_distance([]))


def test_planes_are_those_of_scikit_learn():
    samples = drawn(4, 3, 5)
    found = plane([Sampled("q", tuple(samples), (True, False, True))])
    points = np.concatenate(samples)
    pca = PCA(2).fit(points)
    theirs = pca.transform(points)
    for name, expected in zip(("x", "y"), theirs.T, strict=True):
        sign = np.sign(expected @ found[name])
        assert found[name].to_numpy() == pytest.approx(sign * expected, abs=1e-4)
    assert found["share"].iloc[0] == pytest.approx(pca.explained_variance_ratio_.sum(), rel=1e-4)
    assert found["sample"].tolist() == [0] * 4 + [1] * 3 + [2] * 5
    assert found["step"].tolist() == [1, 2, 3, 4, 1, 2, 3, 1, 2, 3, 4, 5]
    assert found["right"].tolist() == [True] * 4 + [False] * 3 + [True] * 5


def test_the_most_mixed_questions_come_first():
    def question(name, *right):
        return Sampled(name, (), right)

    every = [question("all", True, True), question("none", False, False)]
    every += [question("a", True, False, False), question("b", True, False), question("c", 1, 0)]
    assert [one.question for one in most_mixed(every, 2)] == ["b", "c"]
    assert [one.question for one in most_mixed(every, 9)] == ["b", "c", "a"]

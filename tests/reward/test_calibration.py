"""The scale of rewards, against pools in which the right one is known."""

import numpy as np
import pytest

from latent_tts.reward.calibration import LEAST, MOST, reward_scale


def pools(factor, *, count=2000, size=8, seed=0):
    """Pools of which one trajectory is right, by the chances softmax(factor * score)."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(count, size))
    chances = np.exp(factor * scores)
    chances /= chances.sum(axis=1, keepdims=True)
    winners = [rng.choice(size, p=row) for row in chances]
    return scores, np.arange(size) == np.array(winners)[:, None]


@pytest.mark.parametrize("factor", [0.3, 1.0, 4.0])
def test_the_factor_that_made_the_pools_is_found(factor):
    assert reward_scale(*pools(factor)) == pytest.approx(factor, rel=0.15)


def test_it_is_the_best_of_all_factors():
    scores, right = pools(1.5, count=200, seed=1)

    def loss(factor):
        weights = np.exp(factor * scores)
        return -np.log((weights * right).sum(axis=1) / weights.sum(axis=1)).mean()

    found = reward_scale(scores, right)
    grid = np.geomspace(LEAST, MOST, 400)
    assert loss(found) <= min(map(loss, grid)) + 1e-6


def test_scores_that_say_nothing_or_the_contrary_weigh_nothing():
    scores, right = pools(-3.0)
    assert reward_scale(scores, right) == pytest.approx(LEAST, rel=0.05)


def test_pools_without_a_choice_or_a_number_are_left_out():
    scores, right = pools(2.0, count=300)
    found = reward_scale(scores, right)
    more = np.vstack([scores, np.zeros((2, 8)), np.full((1, 8), np.nan)])
    judged = np.vstack([right, np.ones((1, 8)), np.zeros((1, 8)), np.ones((1, 8))]).astype(bool)
    assert reward_scale(more, judged) == pytest.approx(found)
    assert reward_scale(np.zeros((1, 4)), np.ones((1, 4), dtype=bool)) == 1.0

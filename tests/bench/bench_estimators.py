"""What estimating every k at once gains, and what the exact estimate costs."""

import random
from collections import Counter

import pytest

from latent_tts.tasks import voting_at_k

KS = range(1, 65)


@pytest.fixture(scope="module")
def answers():
    dice = random.Random(0)
    return [str(int(dice.paretovariate(0.7))) for _ in KS]


def test_every_k_at_once(versus, answers):
    versus(
        bound=10.0,
        slow=lambda: [voting_at_k(answers, right={"1"}, ks=[k]) for k in KS],
        fast=lambda: voting_at_k(answers, right={"1"}, ks=KS),
    )


def test_exact_against_drawn(versus, answers):
    """1,000 drawn subsets a k still leave a standard error of up to 1.6 points."""
    dice = random.Random(1)

    def draw():
        for k in KS:
            for _ in range(1000):
                Counter(dice.sample(answers, k)).most_common(1)

    versus(bound=100.0, slow=draw, fast=lambda: voting_at_k(answers, right={"1"}, ks=KS), rounds=3)

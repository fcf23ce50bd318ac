"""How often do the intervals of paired differences and of scores hold what is true?

    python -m tests.results.statistics.coverage_study --repetitions 10000

draws questions again and again from populations whose mean is known, most of them such that few
questions differ, and counts the intervals that hold it.
"""

import argparse
from itertools import product

import numpy as np

from latent_tts.results import paired_difference, score_interval

LEVEL = 0.95


def flips(share, *, one_sided):
    """Right and wrong on both sides, of which so many questions disagree."""
    for_a = share if one_sided else share / 2

    def draw(rng, n):
        u = rng.random(n)
        return (u < for_a).astype(float), ((u >= for_a) & (u < share)).astype(float)

    return draw, 2 * for_a - share


def vote(share):
    """A vote of 16 against another's: certain on most questions, a coin on a few."""

    def draw(rng, n):
        coin = rng.random(n) < share
        a, b = rng.integers(2, size=(2, n))
        return np.where(coin, a, 1.0), np.where(coin, b, 1.0)

    return draw, 0.0


def means(share, spread):
    """Means over candidates: nearly equal on most questions, anything on a few."""

    def draw(rng, n):
        b = rng.random(n) * (1 - spread)
        near = b + spread * rng.random(n)
        return np.where(rng.random(n) < share, rng.random(n) * 0.5 + 0.5, near), b

    own = (1 - spread) / 2
    return draw, (1 - share) * spread / 2 + share * (0.75 - own)


DIFFERENCES = {
    **{
        f"{share:.1%} disagree, {'all for one side' if one_sided else 'half for each'}": flips(
            share, one_sided=one_sided
        )
        for share, one_sided in product((0.005, 0.01, 0.05, 0.2), (True, False))
    },
    "votes, 1% of them a coin": vote(0.01),
    "means, 1% far apart": means(0.01, 0.0),
    "means, 5% far apart": means(0.05, 0.02),
}
"""Name -> what draws both sides of n questions, and the true difference."""

SCORES = {
    **{f"{p:.1%} right": (lambda rng, n, p=p: rng.random(n) < p, p) for p in (0.002, 0.05, 0.99)},
    "means of 16, most all right": (
        lambda rng, n: np.where(rng.random(n) < 0.97, 1.0, rng.binomial(16, 0.5, n) / 16),
        0.985,
    ),
}
"""Name -> what draws the scores of n questions, and the true score."""

COUNTS = (10, 30, 100, 500)


def coverage(name, n, *, repetitions, seed=0):
    """Return how many intervals hold what is true, and whether each has a width."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(repetitions):
        if name in DIFFERENCES:
            draw, truth = DIFFERENCES[name]
            paired = paired_difference(*draw(rng, n), confidence=LEVEL)
            found.append((paired.low, paired.high))
        else:
            draw, truth = SCORES[name]
            found.append(score_interval(draw(rng, n), confidence=LEVEL))
    low, high = np.array(found).T
    return float(np.mean((low <= truth) & (truth <= high))), bool((low < high).all())


def main():
    """Print the share of intervals that hold the truth."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--repetitions", type=int, default=10_000)
    repetitions = parser.parse_args().repetitions
    print("| | " + " | ".join(f"n = {n}" for n in COUNTS) + " |\n" + "|---" * 5 + "|")
    for name in (*DIFFERENCES, *SCORES):
        shares = [coverage(name, n, repetitions=repetitions)[0] for n in COUNTS]
        print(f"| {name} | " + " | ".join(f"{share:.1%}" for share in shares) + " |", flush=True)


if __name__ == "__main__":
    main()

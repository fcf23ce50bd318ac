"""How often does `latent-tts check` cry wolf, and what does it catch?

    python -m tests.results.reports.gate_study --repetitions 1000

takes the committed runs of tiny-coconut. Another seed is made by drawing every question's
candidates anew, with replacement, from those that were sampled: the same accuracy for every
question. Where the baseline has more candidates than the run, its first ones are judged, as the
gate does. A worsened checkpoint gives, in place of a share of its answers, a number that nobody
else gives. Both sides of every check are drawn, so both have the noise of a run.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from latent_tts.results import collect, read_log
from latent_tts.results.reports.drops import find_drops
from latent_tts.tasks import vote_keys

BASELINES = Path(__file__).parents[3] / "results" / "baselines"


def load(sampler):
    """The answers of the committed run of a sampler: task -> (codes i64[Q,N]; 0 is right)."""
    runs, _ = collect([BASELINES])
    return {run.task: encode(read_log(run)) for run in runs if run.config.sampler == sampler}


def encode(questions):
    """Answers as numbers, 0 for the right one and -1 for none."""
    rows = []
    for logged in questions:
        (gold,) = vote_keys([logged.question.gold])
        codes = {gold: 0, None: -1}
        keys = vote_keys([candidate.answer for candidate in logged.pool().candidates])
        rows.append([codes.setdefault(key, len(codes)) for key in keys])
    return np.array(rows)


def draw(answers, *, n, worse, rng, judged=None):
    """A run of n candidates: a row a question with pass@1 and voting of the first that count."""
    picks = rng.integers(answers.shape[1], size=(len(answers), n))
    codes = np.take_along_axis(answers, picks, axis=1)[:, :judged]
    n = codes.shape[1]
    garbled = rng.random(codes.shape) < worse
    codes = np.where(garbled, 1000 + np.arange(n), codes)
    votes = (codes[:, :, None] == codes[:, None, :]).sum(axis=2)
    winner = np.argmax(np.where(codes < 0, -1, votes), axis=1)  # argmax takes the earliest
    elected = np.take_along_axis(codes, winner[:, None], axis=1)[:, 0]
    return pd.DataFrame({"pass@1": (codes == 0).mean(axis=1), f"voting@{n}": elected == 0}).astype(
        float
    )


def failure_rates(
    answers,
    *,
    repetitions,
    worse=0.0,
    n=16,
    old_n=None,
    questions=None,
    alphas=(0.01, 0.05),
    seed=0,
):
    """The share of checks that fail at each alpha: false alarms with worse = 0, else power.

    The run has n candidates a question, the baseline old_n, as many if not given.
    """
    sizes = (n, old_n or n)
    rng = np.random.default_rng(seed)
    least = []
    for _ in range(repetitions):
        pairs = {
            task: tuple(
                draw(codes[:questions], n=size, worse=share, rng=rng, judged=min(sizes))
                for size, share in zip(sizes, (worse, 0.0), strict=True)
            )
            for task, codes in answers.items()
        }
        least.append(min(drop.p for drop in find_drops(pairs, alpha=0.01)))
    return [float(np.mean(np.array(least) <= alpha)) for alpha in alphas]


def main():
    """Print the rates."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--repetitions", type=int, default=1000)
    parser.add_argument("--questions", type=int)
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--old-samples", type=int, help="Of the baseline; as many if not given.")
    options = parser.parse_args()
    for sampler in ("noise", "dropout"):
        answers = load(sampler)
        for worse in (0.0, 0.01, 0.02, 0.05):
            repetitions = options.repetitions if worse == 0 else options.repetitions // 5
            rates = failure_rates(
                answers,
                repetitions=repetitions,
                worse=worse,
                n=options.samples,
                old_n=options.old_samples,
                questions=options.questions,
            )
            shown = ", ".join(f"{rate:.1%}" for rate in rates)
            print(
                f"{sampler}, {worse:.0%} garbled, {repetitions} checks: {shown} fail at alpha "
                "0.01, 0.05",
                flush=True,
            )


if __name__ == "__main__":
    main()

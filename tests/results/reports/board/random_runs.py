"""Runs with random candidates, for the leaderboard's tests and its benchmark of scale."""

import json
import random

from latent_tts.tasks import Candidate, Pool
from tests.results.made import write_run

NAMES = ("Ada", "Emil", "Priya", "Tessa")


def random_rows(*, questions, samples, seed=0, skill=0.5, rewards=False, steps=False, text=""):
    """Return (gold, pool) of questions that differ in how often a candidate is right.

    The golds are the same whatever the seed: all runs are asked the same questions.
    """
    draw, golds = random.Random(seed), random.Random(0)
    rows = []
    for _ in range(questions):
        gold = str(golds.randint(2, 999))
        wrong = [*(str(draw.randint(2, 999)) for _ in range(5)), None]
        chance = draw.gauss(skill, 0.3)
        candidates = []
        for _ in range(samples):
            answer = gold if draw.random() < chance else draw.choice(wrong)
            candidates.append(
                Candidate(
                    text=f"The answer is: {answer}{text}",
                    answer=answer,
                    thoughts=6,
                    answer_tokens=draw.choice([5, 6, 7]),
                    truncated=answer is None,
                    reward=draw.gauss(float(answer == gold), 1.0) if rewards else None,
                    step_rewards=tuple(draw.gauss(0, 1) for _ in range(6)) if steps else None,
                )
            )
        rows.append((gold, Pool(tuple(candidates))))
    return rows


def random_run(folder, *, questions=12, samples=8, seed=0, text="", config=None, **kind):
    """Write a run of `random_rows`; return its results file.

    Args:
        folder: --output_path.
        questions: a count.
        samples: N.
        seed: of everything random.
        text: stands in every question and candidate.
        config: further arguments of `write_run`.
        kind: further arguments of `random_rows`.
    """
    rows = random_rows(questions=questions, samples=samples, seed=seed, text=text, **kind)
    draw = random.Random(0)
    texts = [
        f"{' and '.join(draw.choices(NAMES, k=8))} share {index} eggs.{text}"
        for index in range(questions)
    ]
    config = {"texts": texts, **(config or {})}
    config["settings"] = {
        "seed": seed,
        "latent_do_sample": samples > 1,
        "do_sample": False,
        **config.get("settings", {}),
    }
    return write_run(folder, rows, **config)


def rewrite(log, change):
    """Change each sample of a log in place."""
    samples = [json.loads(line) for line in log.read_text().splitlines()]
    for index, sample in enumerate(samples):
        change(index, sample)
    log.write_text("".join(f"{json.dumps(sample)}\n" for sample in samples))


def best_of_n(gold, pool):
    """Tell whether the candidate with the highest reward is right."""
    best = max(pool.candidates, key=lambda candidate: candidate.reward)
    return float(best.answer == gold)

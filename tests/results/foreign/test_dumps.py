"""Dumps of LatentTTS: what they hold is what comparisons see."""

import json
import random

import numpy as np
import pytest
from click.testing import CliRunner

from latent_tts.harness.commands.pool import pool
from latent_tts.results import (
    ResultsError,
    collect,
    judge,
    mcnemar,
    paired_difference,
    read_log,
)
from latent_tts.results.foreign import read_foreign
from latent_tts.results.foreign.dumps import is_dump, read_dump

COUNT, SAMPLES = 60, 16


def make_dump(seed, **meta):
    """Random answers, the same for every seed, and scores that depend on it."""
    answers, scores = random.Random(1), random.Random(seed)
    examples = []
    for index in range(COUNT):
        gold = float(answers.randint(1, 4))
        given = [answers.choice(["1.0", "2.0", "3.0", "inf"]) for _ in range(SAMPLES)]
        examples.append(
            {
                "idx": index,
                "gold": gold,
                "answers": given,
                "corrects": [float(one) == gold for one in given],
                "scores": [scores.gauss(-10, 3) for _ in given],
                "selected": 2,
            }
        )
    return {"meta": {"prm_id": f"rm-{seed}", "seed": 42, **meta}, "examples": examples}


def write(folder, content, name="dump.json"):
    file = folder / name
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return file


def import_dump(file, output):
    done = CliRunner().invoke(pool, ["import", str(file), "--output", str(output)])
    assert done.exit_code == 0, done.output
    (run,), _ = collect([output])
    return run


def test_paired_differences_are_those_of_the_dumps(tmp_path):
    dumps = [make_dump(seed) for seed in (2, 3)]
    picked = []
    for dump, name in zip(dumps, ("a", "b"), strict=True):
        run = import_dump(write(tmp_path, dump, f"{name}.json"), tmp_path / name)
        assert run.config.settings["seed"] == 42
        names = [f"best_of_n@{SAMPLES}", f"coverage@{SAMPLES}"]
        logged = [row.metrics for row in read_log(run, names)]
        best = [one["corrects"][int(np.argmax(one["scores"]))] for one in dump["examples"]]
        assert [row[names[0]] for row in logged] == best
        assert [row[names[1]] for row in logged] == [any(o["corrects"]) for o in dump["examples"]]
        picked.append(best)
    assert picked[0] != picked[1]


def test_unparsed_answers_are_none_and_the_seed_is_known(tmp_path):
    file = write(tmp_path, make_dump(2))
    assert is_dump(file)
    dump = read_dump(file)
    assert dump.seed == 42
    found = [[one.answer for one in line.pool.candidates] for line in dump.lines]
    given = [one["answers"] for one in make_dump(2)["examples"]]
    assert found == [[None if each == "inf" else each for each in row] for row in given]


def test_a_dumps_own_tolerance_judges_it(tmp_path):
    near = {"idx": 0, "gold": 18.0, "answers": ["18.0004", "18.1"], "corrects": [True, False]}
    file = tmp_path / "dump.json"
    file.write_text(json.dumps({"meta": {}, "examples": [near]}))
    with pytest.raises(ResultsError, match=r"'18.0004' is called right.*own --tolerance"):
        read_foreign(file)
    (line,) = read_foreign(file, tolerance="0.001").lines
    assert [one.answer for one in line.pool.candidates] == near["answers"]


ONE = {"idx": 0, "gold": 18.0, "answers": ["22.0", "18.0"]}


@pytest.mark.parametrize(
    ("examples", "message"),
    [
        ([], "length >= 1"),
        ([ONE | {"answers": []}], "length >= 1"),
        ([ONE | {"scores": [1.0]}], "1 scores for 2 answers"),
        ([ONE | {"corrects": [True, True]}], "'22.0' is called right where gold is 18"),
        ([ONE | {"corrects": [False, False]}], "'18.0' is called wrong where gold is 18"),
        ([ONE | {"gold": "many"}], "gold is 'many', which is no number"),
        ([ONE, ONE], "idx '0' stands already at .*example 0"),
        ([{"idx": 0, "answers": ["1"]}], "missing required field `gold`"),
        ([ONE | {"answers": [True]}], "Expected a text or a number - at `answers of .*example 0"),
    ],
)
def test_bad_dumps_name_what_is_wrong(tmp_path, examples, message):
    with pytest.raises(ResultsError, match=message):
        read_dump(write(tmp_path, {"meta": {}, "examples": examples}))


@pytest.mark.parametrize("content", ['{"examples": [', '{"meta": []}', "{" * 5000])
def test_torn_dumps(tmp_path, content):
    with pytest.raises(ResultsError, match="Expected"):
        read_dump(write(tmp_path, content))


# What a user of this method published of reward models on the same 16 candidates for GSM8K's 1,319
# questions: right by this one alone, by the first alone, difference and bootstrap interval, points.
PUBLISHED = [(77, 39, 2.88, 1.29, 4.47), (94, 41, 4.02, 2.35, 5.84), (56, 71, -1.14, -2.88, 0.45)]
QUESTIONS, N = 1319, 16


def published_dump(chosen_right, seed):
    """A dump whose reward model chooses a right candidate on the questions that say so."""
    draw, scores = random.Random(1), random.Random(seed)
    examples = []
    for index, right in enumerate(chosen_right):
        gold = float(draw.randint(1, 999))
        answers = [str(gold), "inf"] + [f"{gold + draw.choice([0, 1, 2])}" for _ in range(N - 2)]
        draw.shuffle(answers)
        corrects = [answer == str(gold) for answer in answers]
        given = [scores.gauss(-15, 4) for _ in answers]
        best = scores.choice([i for i, correct in enumerate(corrects) if correct is right])
        given[best] = max(given) + 1
        row = {"idx": index, "gold": gold, "answers": answers, "corrects": corrects}
        examples.append(row | {"scores": given, "selected": best, "answers_sha1": "…"})
    return {"meta": {"seed": 42, "num_return_sequences": N}, "examples": examples}


def chosen(first, only_this, only_first):
    """Where this reward model is right, that is, on as many questions as were published."""
    right = first.copy()
    right[np.flatnonzero(~first)[:only_this]] = True
    right[np.flatnonzero(first)[:only_first]] = False
    return right


@pytest.mark.slow
def test_published_differences_of_a_users_run_are_recomputed(tmp_path):
    first = np.random.default_rng(0).random(QUESTIONS) < 0.35
    expected = [first, *(chosen(first, a, b) for a, b, *_ in PUBLISHED)]
    tables = []
    for number, right in enumerate(expected):
        file = write(tmp_path, published_dump(right.tolist(), number), f"rm-{number}.json")
        run = import_dump(file, tmp_path / f"run-{number}")
        tables.append(judge(run).metrics)
        assert tables[-1][f"best_of_n@{N}"].tolist() == right.tolist()
    for other, right, (only, lost, points, low, high) in zip(
        tables[1:], expected[1:], PUBLISHED, strict=True
    ):
        name = f"best_of_n@{N}"
        found = paired_difference(other[name], tables[0][name])
        assert 100 * found.difference == pytest.approx(points, abs=0.005)
        # Wald's with one question more on each side (Bonett and Price 2012), by numpy alone.
        b, c = np.sum(right & ~first), np.sum(~right & first)
        assert (b, c) == (only, lost)
        mean, size = (b - c) / (QUESTIONS + 2), QUESTIONS + 2
        width = 1.959964 * np.sqrt(((b + c + 2) / size - mean**2) / size)
        assert found.low == pytest.approx(mean - width, abs=1e-6)
        assert found.high == pytest.approx(mean + width, abs=1e-6)
        # Theirs is a bootstrap's.
        assert (100 * found.low, 100 * found.high) == pytest.approx((low, high), abs=0.15)
        counts = mcnemar(other[name], tables[0][name])
        assert (counts.only_a, counts.only_b) == (only, lost)
        for same in ("pass@1", f"voting@{N}", f"coverage@{N}"):  # one pool for all
            assert other[same].equals(tables[0][same])

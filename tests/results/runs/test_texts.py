"""Runs of lm-eval's other models: texts and their repeats are pools in every report."""

import json
import math
from dataclasses import replace

import pandas as pd
import pytest
from click.testing import CliRunner

from latent_tts.harness.commands.check import check
from latent_tts.harness.commands.compare import compare
from latent_tts.harness.commands.leaderboard import leaderboard
from latent_tts.results import candidates, collect, judge, read_log, runs
from tests.results.made import edit, log_of, make_pool, write_run, write_text_run

SAMPLED = {"do_sample": True, "temperature": 0.8}
ROWS = [
    ("5", ["It is 5.", "So 4", "5 it is"]),
    ("7", ["no idea", "6 or 7", "7"]),
]


def the_run(folder):
    (found,), problems = collect([folder])
    assert problems == []
    return found


def test_repeats_of_a_text_model_are_a_pool(tmp_path):
    write_text_run(tmp_path, ROWS, generation=SAMPLED)
    run = the_run(tmp_path)
    assert (run.config.samples, run.config.repeats, run.plain_text) == (3, 3, True)
    pools = [logged.pool() for logged in read_log(run)]
    assert [[one.answer for one in pool.candidates] for pool in pools] == [
        ["5", "4", "5"],
        [None, "7", "7"],
    ]
    assert judge(run).metrics["voting@3"].tolist() == [1, 1]
    assert run.mean("pass@1") == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("generation", "sampler", "strength"),
    [
        (SAMPLED, "temperature", 0.8),
        ({"do_sample": True}, "temperature", None),
        ({"temperature": 0.5}, "temperature", 0.5),  # as lm-eval itself takes it
        ({"do_sample": False, "temperature": 0.5}, "none", 0.0),
        ({"temperature": 0}, "none", 0.0),
        ({}, "none", 0.0),
    ],
)
def test_the_sampler_is_what_lm_eval_did(tmp_path, generation, sampler, strength):
    write_text_run(tmp_path, ROWS, generation=generation)
    config = the_run(tmp_path).config
    assert (config.sampler, config.strength) == (sampler, strength)
    assert config.deterministic == (sampler == "none")


@pytest.mark.parametrize(
    ("model_args", "name"),
    [
        ({"pretrained": "a/b", "dtype": "float16"}, "a/b"),
        ("pretrained=a/b,dtype=float16", "a/b"),
        ({"model": "gpt", "base_url": "http://x"}, "gpt"),
        ({"dtype": "float16"}, "some/model"),
    ],
)
def test_the_checkpoint_is_what_model_args_named(tmp_path, model_args, name):
    write_text_run(tmp_path, ROWS, model_args=model_args)
    config = the_run(tmp_path).config
    assert (config.backbone, config.checkpoint) == ("hf", name)
    assert (config.seed, config.parameters) == (1234, 1000)


@pytest.mark.parametrize(
    "other",
    [
        {"generation": {**SAMPLED, "top_p": 0.5}},
        {"generation": {**SAMPLED, "temperature": 0.9}},
        {"generation": SAMPLED, "model_args": {"pretrained": "some/model", "peft": "an/adapter"}},
    ],
)
def test_runs_with_other_settings_are_no_repetition(tmp_path, other):
    write_text_run(tmp_path / "one", ROWS, generation=SAMPLED)
    write_text_run(tmp_path / "two", ROWS, **other)
    found, problems = collect([tmp_path])
    assert ([run.name for run in found], problems) == (["one", "two"], [])
    done = CliRunner().invoke(
        check, [str(tmp_path / "two"), "--baseline", str(tmp_path / "one")], catch_exceptions=False
    )
    assert done.exit_code == 1
    assert "no run of the baseline has its settings" in done.stdout


@pytest.mark.slow
def test_a_text_run_stands_beside_the_others(tmp_path):
    write_text_run(tmp_path / "hf", ROWS, generation=SAMPLED)
    rows = [("5", make_pool("5", "4", "5")), ("7", make_pool("6", "6", "7"))]
    write_run(tmp_path / "latent", rows)
    words = [str(tmp_path), "--output", str(tmp_path / "board"), "--processes", "1"]
    done = CliRunner().invoke(leaderboard, words, catch_exceptions=False)
    assert done.exit_code == 0
    assert "2 runs, 0 problems" in done.stdout
    table = pd.read_csv(tmp_path / "board" / "leaderboard.csv")
    own = table[(table["run"] == "hf") & table["full"]].set_index("aggregation")
    assert own.loc["voting", ["accuracy", "n", "sampler"]].tolist() == [1.0, 3, "temperature"]
    assert math.isnan(own.loc["voting", "tokens"])
    words = [str(tmp_path / "hf"), str(tmp_path / "latent"), "--a", "voting", "--b", "pass@1"]
    done = CliRunner().invoke(compare, words, catch_exceptions=False)
    assert "voting@3 − pass@1  1.0000" in done.stdout


def test_what_a_text_does_not_tell_is_not_known(tmp_path):
    write_text_run(tmp_path, ROWS)
    table = candidates(tmp_path)
    assert table["answer"].fillna("").tolist() == ["5", "4", "5", "", "7", "7"]
    assert table[["thoughts", "answer_tokens", "truncated", "reward"]].isna().all().all()
    assert runs(tmp_path)["thoughts"].isna().all()


def test_tasks_of_others_stay_left_out(tmp_path):
    results = write_text_run(tmp_path / "hf", ROWS)
    write_text_run(tmp_path / "ours", ROWS, generation=SAMPLED)

    def change(content):
        content["results"]["latent_tts_arith"] = {"exact_match,strict-match": 0.5, "pass@1,none": 1}

    edit(results, change)
    (found,), (problem,) = collect([tmp_path])
    assert found.name == "ours"
    assert "latent_tts_arith of --model hf is no task of this project" in str(problem)
    assert not problem.lost


def test_a_pool_of_ours_is_never_read_as_text(tmp_path):
    """A damaged pool would be judged by the last number in its JSON."""
    results = write_run(tmp_path, [("5", make_pool("5")), ("7", make_pool("7"))])
    log = log_of(results)
    samples = [json.loads(line) for line in log.read_text().splitlines()]
    samples[1]["resps"] = [["the answer is 7"]]
    log.write_text("".join(f"{json.dumps(sample)}\n" for sample in samples))
    with pytest.raises(ValueError, match=r":2 holds no pool of candidates"):
        list(read_log(the_run(tmp_path)))
    text = replace(the_run(tmp_path), plain_text=True)
    assert len(list(read_log(text))) == 2

"""`--use_cache`: a run goes on from what another one, or itself before it was killed, has done."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing

import pytest

from latent_tts.models import ModelError
from tests.checkpoints import edit_weights, write_coconut
from tests.harness.evaluation import BENCHMARKS, evaluate, make_rows, pools, write_questions


@pytest.fixture
def run_cached(tmp_path, checkpoints, data):
    """Evaluate with a cache; returns results and the number of samples that were drawn."""

    def run(pretrained=None, data=data, **options):
        settings = {"num_return_sequences": 3, "max_new_tokens": 20}
        options["model_args"] = settings | options.get("model_args", {})
        results = evaluate(
            pretrained or checkpoints["coconut"],
            data,
            use_cache=str(tmp_path / "cache"),
            **{"batch_size": 9, **options},
        )
        tasks = results["config"]["latent_tts"]["tasks"]
        return results, sum(task["throughput"]["samples"] for task in tasks.values())

    return run


def test_a_second_run_is_answered_from_the_cache(run_cached):
    first, drawn = run_cached()
    assert drawn == 27
    second, drawn = run_cached(batch_size=1)
    assert drawn == 0
    assert pools(second) == pools(first)
    assert second["results"] == first["results"]
    # What produced the numbers is still said.
    settings = second["config"]["latent_tts"]["settings"]
    assert settings["num_return_sequences"] == 3
    assert settings["seed"] == 1234


@pytest.mark.slow
def test_more_questions_go_on_from_fewer(run_cached):
    run_cached(limit=4)
    _, drawn = run_cached()
    assert drawn == 5 * 3


@pytest.mark.slow
def test_gen_kwargs_are_part_of_what_the_cache_knows(run_cached):
    run_cached()
    results, drawn = run_cached(gen_kwargs={"num_return_sequences": 4})
    assert drawn == 36
    assert len(pools(results)[0].candidates) == 4


@pytest.mark.parametrize(
    "change",
    [
        {"model_args": {"noise_std": 0.1}},
        {"model_args": {"num_return_sequences": 4}},
        {"model_args": {"aggregation": "first"}},
        {"model_args": {"dtype": "bfloat16"}},
        {"torch_random_seed": 5},
    ],
)
def test_a_cache_of_other_settings_is_refused(run_cached, change):
    run_cached(limit=1)
    with pytest.raises(ModelError, match=r"was filled under other settings.*another --use_cache"):
        run_cached(limit=1, **change)


def test_a_cache_of_other_weights_is_refused(run_cached, tmp_path):
    folder = write_coconut(tmp_path / "checkpoint")
    run_cached(pretrained=folder, limit=1)
    edit_weights(folder, lambda tensors: tensors["transformer.wte.weight"].mul_(1.5))
    with pytest.raises(ModelError, match="was filled under other settings"):
        run_cached(pretrained=folder, limit=1)


def test_a_cache_of_other_defaults_of_the_checkpoint_is_refused(run_cached, tmp_path):
    folder = write_coconut(tmp_path / "checkpoint")
    run_cached(pretrained=folder, limit=1)
    (folder / "generation_config.json").write_text('{"latent_length": 2}')
    with pytest.raises(ModelError, match="was filled under other settings"):
        run_cached(pretrained=folder, limit=1)


def test_a_cache_of_another_model_is_refused(run_cached, tmp_path):
    from lm_eval.api.model import CachingLM
    from lm_eval.models.dummy import DummyLM

    CachingLM(DummyLM(), str(tmp_path / "cache_rank0.db")).dbdict["key"] = "response"
    with pytest.raises(ModelError, match="was filled under other settings"):
        run_cached(limit=1)


def test_repeats_cannot_be_cached(run_cached, tmp_path):
    include = BENCHMARKS / "latent_tts_gsm8k.yaml"
    (tmp_path / "twice.yaml").write_text(f"include: {include}\ntask: twice\nrepeats: 2\n")
    with pytest.raises(ModelError, match=r"repeats would all become the same.*num_return_sequence"):
        run_cached(names=("twice",), include=tmp_path)


def cached(file):
    """The number of responses in a cache file."""
    try:
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=10)) as database:
            return database.execute("SELECT COUNT(*) FROM unnamed").fetchone()[0] - 1
    except sqlite3.OperationalError:  # not there yet
        return 0


@pytest.mark.slow
def test_a_killed_run_goes_on_where_it_stopped(run_cached, tmp_path, checkpoints, quick_lm_eval):
    count = 60
    folder = tmp_path / "data"
    folder.mkdir()
    write_questions(folder, make_rows(count))
    settings = f"pretrained={checkpoints['coconut']},num_return_sequences=3,max_new_tokens=20"
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "lm_eval", "run", "--model", "latent_tts"),
            *("--model_args", settings, "--tasks", "latent_tts_gsm8k"),
            *(
                "--include_path",
                str(BENCHMARKS),
                "--metadata",
                json.dumps({"data_dir": str(folder)}),
            ),
            *("--use_cache", str(tmp_path / "cache"), "--batch_size", "1"),
        ],
        env={**os.environ, **quick_lm_eval},
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    file = tmp_path / "cache_rank0.db"
    try:
        deadline = time.monotonic() + 120
        while cached(file) < 5 and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    before = cached(file)
    assert 5 <= before < count
    results, drawn = run_cached(data=folder, batch_size=10)
    assert drawn == (count - before) * 3
    (tmp_path / "cache_rank0.db").unlink()
    whole, drawn = run_cached(data=folder, batch_size=10)
    assert drawn == count * 3
    assert pools(results) == pools(whole)

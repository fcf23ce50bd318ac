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
from tests.marks import slow_but


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
        drawn = (task.get("throughput", {"samples": 0})["samples"] for task in tasks.values())
        return results, sum(drawn)

    return run


def test_a_second_run_is_answered_from_the_cache(run_cached):
    first, drawn = run_cached()
    assert drawn == 27
    second, drawn = run_cached(batch_size=1)
    assert drawn == 0
    assert pools(second) == pools(first)
    assert second["results"] == first["results"]
    # What produced the numbers is still said.
    for run in (first, second):
        settings = run["config"]["latent_tts"]["tasks"]["latent_tts_gsm8k"]["settings"]
        assert settings["num_return_sequences"] == 3
        assert settings["seed"] == 1234


@pytest.mark.slow
def test_a_run_from_the_cache_records_the_settings_that_made_it(run_cached):
    """Those of the run's own gen_kwargs, whichever stood in the cache last."""
    strengths = (0.3, 1.4, 0.3)
    made = [
        run_cached(limit=1, gen_kwargs={"latent_do_sample_by": "noise", "noise_std": strength})
        for strength in strengths
    ]
    assert [drawn for _, drawn in made] == [3, 3, 0]
    recorded = [
        results["config"]["latent_tts"]["tasks"]["latent_tts_gsm8k"]["settings"]["noise_std"]
        for results, _ in made
    ]
    assert recorded == list(strengths)
    assert pools(made[0][0]) == pools(made[2][0])
    assert pools(made[0][0]) != pools(made[1][0])


@pytest.mark.slow
@pytest.mark.parametrize("where", slow_but(["model_args", "gen_kwargs"], "gen_kwargs"))
def test_sampled_answers_come_from_the_cache_too(run_cached, where):
    asked = {where: {"do_sample": True, "temperature": 1.5}}
    first, drawn = run_cached(limit=2, **asked)
    assert drawn == 6
    second, drawn = run_cached(limit=2, **asked)
    assert drawn == 0
    assert pools(second) == pools(first)


@pytest.mark.slow
def test_questions_of_equal_text_keep_their_own_ids(run_cached, tmp_path):
    folder = tmp_path / "twins"
    folder.mkdir()
    rows = [{**make_rows(1)[0], "id": name} for name in ("one", "other")]
    write_questions(folder, rows)
    for _ in range(2):
        results, _ = run_cached(data=folder)
        assert [pool.question for pool in pools(results)] == ["one", "other"]
        one, other = (pool.candidates for pool in pools(results))
        assert one == other


def change_cache(tmp_path, *commands):
    with closing(sqlite3.connect(tmp_path / "cache_rank0.db")) as database:
        for command in commands:
            database.execute(command)
        database.commit()


@pytest.mark.slow
def test_a_cache_of_earlier_versions_goes_on(run_cached, tmp_path):
    first, _ = run_cached(limit=2)
    change_cache(
        tmp_path,
        "DELETE FROM unnamed WHERE key = 'latent_tts:format' OR key NOT LIKE 'latent_tts:%'",
        "UPDATE unnamed SET key = substr(key, 12) WHERE key != 'latent_tts:settings'",
    )
    second, drawn = run_cached(limit=2)
    assert drawn == 0
    assert pools(second) == pools(first)


@pytest.mark.slow
def test_a_cache_that_cannot_be_written_is_said_and_goes_on(run_cached, tmp_path):
    run_cached(limit=1)
    full = "BEGIN SELECT RAISE(FAIL, 'database or disk is full'); END"
    rows = "(SELECT COUNT(*) FROM unnamed) >= 5"
    change_cache(tmp_path, f"CREATE TRIGGER full BEFORE INSERT ON unnamed WHEN {rows} {full}")
    with pytest.raises(
        ModelError, match=r"cache_rank0.db' cannot be .* disk is full.*goes on from"
    ):
        run_cached(batch_size=1)
    before = cached(tmp_path / "cache_rank0.db")
    assert before > 1
    change_cache(tmp_path, "DROP TRIGGER full")
    _, drawn = run_cached()
    assert drawn == (9 - before) * 3


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


CHANGES = [
    ({"model_args": {"noise_std": 0.1}}, "noise_std was 0.6 and is now 0.1"),
    ({"model_args": {"num_return_sequences": 4}}, "num_return_sequences was 3 and is now 4"),
    ({"model_args": {"aggregation": "first"}}, "aggregation was 'voting' and is now 'first'"),
    (
        {"model_args": {"dtype": "bfloat16"}},
        "dtype was 'torch.float32' and is now 'torch.bfloat16'",
    ),
    ({"torch_random_seed": 5}, "seed was 1234 and is now 5"),
    # Responses hold them.
    ({"model_args": {"nearest_tokens": 2}}, "nearest_tokens was not set and is now 2"),
    # Not the sampler's own, but that of gen_kwargs that choose it.
    (
        {"model_args": {"dropout_mask": "sample"}},
        "given.dropout_mask was not set and is now 'sample'",
    ),
]


@pytest.mark.parametrize(("change", "message"), slow_but(CHANGES, CHANGES[-1]))
def test_a_cache_of_other_settings_is_refused(run_cached, change, message):
    noise = {"latent_do_sample_by": "noise"}
    run_cached(limit=1, model_args=noise)
    change = {**change, "model_args": noise | change.get("model_args", {})}
    with pytest.raises(ModelError, match=f"under other settings: {message}. Name another --use_"):
        run_cached(limit=1, **change)


@pytest.mark.slow
def test_a_cache_of_other_weights_is_refused(run_cached, tmp_path):
    folder = write_coconut(tmp_path / "checkpoint")
    run_cached(pretrained=folder, limit=1)
    edit_weights(folder, lambda tensors: tensors["transformer.wte.weight"].mul_(1.5))
    with pytest.raises(ModelError, match="was filled under other settings"):
        run_cached(pretrained=folder, limit=1)


@pytest.mark.slow
def test_a_cache_of_other_defaults_of_the_checkpoint_is_refused(run_cached, tmp_path):
    folder = write_coconut(tmp_path / "checkpoint")
    run_cached(pretrained=folder, limit=1)
    (folder / "generation_config.json").write_text('{"latent_length": 2}')
    with pytest.raises(ModelError, match="other settings: latent_length was 6 and is now 2"):
        run_cached(pretrained=folder, limit=1)


def test_a_cache_of_another_model_is_refused(run_cached, tmp_path):
    from lm_eval.api.model import CachingLM
    from lm_eval.models.dummy import DummyLM

    CachingLM(DummyLM(), str(tmp_path / "cache_rank0.db")).dbdict["key"] = "response"
    with pytest.raises(ModelError, match="was filled by another model"):
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
            ours = "SELECT COUNT(*) FROM unnamed WHERE key LIKE 'latent_tts:%'"
            return database.execute(ours).fetchone()[0] - 2  # the seal and the format
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

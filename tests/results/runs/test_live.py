"""What lm-eval writes today is what records are read from."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from latent_tts.results import collect, judge, read_log
from latent_tts.results.runs import pair_runs

pytestmark = pytest.mark.slow  # a process of lm-eval

BASELINES = Path(__file__).parents[3] / "results" / "baselines" / "tiny-coconut"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder of a run of the checkpoint that ships."""
    folder = tmp_path_factory.mktemp("live")
    settings = "num_return_sequences=4,latent_do_sample_by=dropout,dropout_p=0.1,seed=7"
    subprocess.run(
        [
            *(sys.executable, "-m", "latent_tts.harness.cli", "eval", "--limit", "5"),
            *("--model_args", settings, "--tasks", "latent_tts_offline"),
            *("--log_samples", "--output_path", str(folder / "dropout")),
        ],
        check=True,
        capture_output=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        timeout=300,
    )
    return folder


def test_a_run_of_today_is_read(folder):
    runs, problems = collect([folder])
    assert problems == []
    assert {run.task for run in runs} == {"latent_tts_arith", "latent_tts_arith_hard"}
    for run in runs:
        config = run.config
        assert (run.name, run.questions, config.samples, config.seed) == ("dropout", 5, 4, 7)
        assert (config.sampler, config.strength) == ("dropout", 0.1)
        assert (config.checkpoint, config.backbone) == ("tiny-coconut", "coconut")
        assert len(config.weights_sha256) == len(run.questions_hash) == 64
        assert config.parameters > 1e6
        assert run.throughput > 0
        assert run.mean("thoughts") == 6
        assert {"latent-tts", "lm-eval", "torch", "transformers"} <= set(config.versions)
        metrics = judge(run).metrics
        assert set(metrics) == {*run.metrics, "candidate_0"}
        assert metrics["pass@1"].sem() == pytest.approx(run.metrics["pass@1"].stderr)
        logged = list(read_log(run))
        assert [len(one.pool().candidates) for one in logged] == [4] * 5
        assert logged[0].question.id.endswith("-0")
        assert json.loads(run.results.read_text())["config"]["limit"] == 5


def test_a_run_of_today_pairs_with_the_committed_one(folder):
    runs, _ = collect([folder])
    committed, _ = collect([BASELINES])
    # What the baseline was told; all else is what the harness writes today.
    told = {"num_return_sequences": 64, "dropout_p": 0.05}
    today = [
        replace(
            run, config=replace(run.config, settings={**run.config.settings, **told}, samples=64)
        )
        for run in runs
    ]
    found = pair_runs(today, committed)
    assert {(new.task, old.config.sampler) for new, old in found.pairs} == {
        ("latent_tts_arith", "dropout"),
        ("latent_tts_arith_hard", "dropout"),
    }
    assert found.untested == ()
    assert {run.config.sampler for run in found.missing} == {"noise", "none"}
    # The committed run is of before dropout had `dropout_mask`, and of the same settings.
    assert found.notes == ()
    for new, old in found.pairs:
        assert new.config.chosen_settings == old.config.chosen_settings

"""`latent-tts train coconut` with tiny numbers: what it writes, and going on after a kill."""

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file
from transformers import TrainerCallback

from latent_tts.harness import train as recipe
from latent_tts.harness.commands.train import train
from latent_tts.models import ModelError
from latent_tts.tasks.arith import generate
from tests.harness.evaluation import evaluate

pytestmark = pytest.mark.slow

TINY = {
    "problems": 300,
    "validation": 8,
    "vocab-size": 600,
    "width": 32,
    "layers": 2,
    "heads": 2,
    "explicit-updates": 4,
    "stage-updates": 2,
    "final-updates": 4,
    "batch-size": 8,
    "save-steps": 2,
}
STAGES = ["explicit", "replace-1", "replace-2", "latent"]


def arguments(output, **changes):
    options = {**TINY, "output": output, **changes}
    return ["coconut", *(f"--{name}={value}" for name, value in options.items())]


def run(output, **changes):
    return CliRunner().invoke(train, arguments(output, **changes), catch_exceptions=False)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A checkpoint that was trained in one go."""
    folder = tmp_path_factory.mktemp("train") / "tiny"
    assert run(folder).exit_code == 0
    return folder


def test_the_checkpoint_is_evaluated_like_any_other(trained, tmp_path):
    problems = generate(split="validation", count=6, seed=3)
    rows = [{"id": i, "question": p.question, "answer": p.answer} for i, p in enumerate(problems)]
    (tmp_path / "gsm8k_test.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    results = evaluate(trained, tmp_path, batch_size="auto")
    published = json.loads((trained / "generation_config.json").read_text())
    settings = results["config"]["latent_tts"]["tasks"]["latent_tts_gsm8k"]["settings"]
    for name in ("latent_length", "num_return_sequences", "latent_do_sample_by", "noise_std"):
        assert settings[name] == published[name]
    assert results["config"]["model_dtype"] == "torch.float32"
    row = results["results"]["latent_tts_gsm8k"]
    assert row["thoughts,none"] == published["latent_length"]
    assert f"coverage@{published['num_return_sequences']},none" in row


def test_it_is_half_precision_with_a_tokenizer_and_a_card(trained):
    weights = load_file(trained / "model.safetensors")
    assert {tensor.dtype for tensor in weights.values()} == {torch.float16}
    config = json.loads((trained / "config.json").read_text())
    assert config["architectures"] == ["COCONUTGPT2"]
    assert (trained / "tokenizer.json").exists()
    card = (trained / "README.md").read_text()
    assert "latent-tts train coconut" in card


def test_every_stage_is_measured(trained):
    for name in STAGES:
        measured = json.loads((trained / "training" / name / "measured.json").read_text())
        assert measured["stage"]["name"] == name
        assert measured["validation"]["n"] == 8
        assert 0 <= measured["validation"]["accuracy"] <= 1
        assert measured["seconds"] > 0


def check_same_weights(left, right):
    left, right = load_file(left / "model.safetensors"), load_file(right / "model.safetensors")
    assert left.keys() == right.keys()
    for name, tensor in left.items():
        assert torch.equal(tensor, right[name]), name


def test_stopping_after_a_stage_and_going_on_is_training_in_one_go(trained, tmp_path):
    output = tmp_path / "tiny"
    assert run(output, **{"stop-after": "replace-1"}).exit_code == 0
    assert not (output / "config.json").exists()
    work = output / "training"
    assert not (work / "replace-2").exists()
    done = {name: (work / name / "measured.json").stat().st_mtime_ns for name in STAGES[:2]}
    assert run(output).exit_code == 0
    for name, moment in done.items():
        assert (work / name / "measured.json").stat().st_mtime_ns == moment
    check_same_weights(trained, output)


def test_a_killed_run_goes_on_and_repeats_no_finished_stage(trained, tmp_path):
    output = tmp_path / "tiny"
    command = [sys.executable, "-m", "latent_tts.harness.cli", "train", *arguments(output)]
    process = subprocess.Popen(
        command,
        env={**os.environ},
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    first = output / "training" / "explicit" / "measured.json"
    try:
        deadline = time.monotonic() + 120
        while not first.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not (output / "config.json").exists()
    moment = first.stat().st_mtime_ns
    assert run(output).exit_code == 0
    assert first.stat().st_mtime_ns == moment
    check_same_weights(trained, output)


class KilledError(Exception):
    pass


class Watch(TrainerCallback):
    """Keeps the steps that are made, and ends the run within one of them."""

    def __init__(self, last=None):
        self.steps = []
        self.last = last

    def on_step_end(self, args, state, control, **kwargs):
        self.steps.append(state.global_step)
        if state.global_step == self.last:
            raise KilledError


def test_a_stage_goes_on_from_its_newest_whole_checkpoint(trained, tmp_path, monkeypatch):
    output = tmp_path / "tiny"
    plain = recipe.train_stage
    monkeypatch.setattr(recipe, "train_stage", partial(plain, callbacks=[Watch(last=3)]))
    with pytest.raises(KilledError):
        run(output)
    # As if a checkpoint was being written.
    unfinished = output / "training" / "explicit" / "checkpoint-3"
    unfinished.mkdir()
    (unfinished / "model.safetensors").write_bytes(b"half")
    watch = Watch()
    monkeypatch.setattr(recipe, "train_stage", partial(plain, callbacks=[watch]))
    assert run(output).exit_code == 0
    assert watch.steps == [3, 4, 1, 2, 1, 2, 1, 2, 3, 4]
    assert not unfinished.exists()
    check_same_weights(trained, output)


def test_another_recipe_in_the_same_folder_is_refused(trained):
    message = "recipe.json holds another recipe than this command's.* choose another --output"
    with pytest.raises(ModelError, match=message):
        run(trained, width=64)


def test_a_finished_training_is_only_published_again(trained):
    moments = {
        file: file.stat().st_mtime_ns for file in (trained / "training").rglob("measured.json")
    }
    assert run(trained, **{"num-return-sequences": 3}).exit_code == 0
    assert json.loads((trained / "generation_config.json").read_text())["num_return_sequences"] == 3
    assert {file: file.stat().st_mtime_ns for file in moments} == moments


def test_a_stage_that_does_not_exist_is_refused(tmp_path):
    done = run(tmp_path / "tiny", **{"stop-after": "replaced"})
    assert done.exit_code == 2
    assert "'replaced' is no stage; there are explicit, replace-1, replace-2, lat" in done.stderr
    assert not (tmp_path / "tiny").exists()

"""Several processes give what one gives."""

import json
import os
import subprocess
import sys

import pytest

from latent_tts.harness.lm import LatentLM
from latent_tts.results import collect, curve_table
from tests.harness.evaluation import BENCHMARKS, timeless
from tests.models.mixtures.checkpoints import write_checkpoint


@pytest.fixture
def launch(checkpoints, data, tmp_path, quick_lm_eval):
    """Run lm-eval's command as several processes; returns the folder of its output."""

    def run(launcher, output, *arguments, expected=0, model=checkpoints["coconut"]):
        settings = "num_return_sequences=3,max_new_tokens=20"
        done = subprocess.run(
            [
                *launcher,
                *("-m", "lm_eval", "run", "--model", "latent_tts", "--batch_size", "2"),
                *("--model_args", f"pretrained={model},{settings}"),
                *("--include_path", str(BENCHMARKS)),
                *("--metadata", json.dumps({"data_dir": str(data)})),
                *("--tasks", "latent_tts_gsm8k,latent_tts_multiarith", "--log_samples"),
                *("--output_path", output, *arguments),
            ],
            env={**os.environ, **quick_lm_eval, "OMP_NUM_THREADS": "1"},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=500,
        )
        assert done.returncode == expected, done.stderr
        return tmp_path / output, done

    return run


def torchrun(count):
    return (
        *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
        *("--nproc_per_node", str(count)),
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("count", "arguments"),
    [(2, ()), (4, ("--limit", "0.1", "--use_cache", "cache"))],  # four processes, one question each
)
def test_several_processes_write_what_one_writes(launch, count, arguments):
    several, done = launch(torchrun(count), "several", *arguments)
    alone, _ = launch((sys.executable,), "alone", *arguments[:2])
    (results, logs), (their_results, their_logs) = timeless(several), timeless(alone)
    assert logs == their_logs
    assert len(logs) == 2
    results["config"].pop("use_cache")
    their_results["config"].pop("use_cache")
    assert results == their_results
    assert done.stdout.count("latent_tts_gsm8k") == 1  # one process reports, and has one bar
    assert (
        len({line.split(":")[0] for line in done.stderr.split("\r") if "question/s" in line}) == 1
    )
    if not arguments:
        writers = list(several.rglob("store/*/*.jsonl"))
        assert len(writers) == 2  # both had work
    (run, _), _ = collect([several])
    questions = 1 if arguments else 9
    assert curve_table(run)["questions"].tolist() == [questions] * 3


@pytest.mark.slow
def test_all_processes_read_chats(launch, tmp_path):
    """The one that writes the prompts tells the others where answers begin, and how they end."""
    model = write_checkpoint(tmp_path / "model", "qwen")
    chats = ("--apply_chat_template", "--gen_kwargs", "do_sample=true")
    model = f"{model},backbone=explicit"
    several, _ = launch(torchrun(2), "several", *chats, model=model)
    alone, _ = launch((sys.executable,), "alone", *chats, model=model)
    assert timeless(several) == timeless(alone)
    stores = {file.parent for file in several.rglob("store/*/*.jsonl")}
    writers = list(several.rglob("store/*/*.jsonl"))
    assert len(writers) == 2
    assert len(stores) == 1  # both say that they sample the same


@pytest.mark.slow
def test_processes_that_stop_early_write_what_one_writes(launch):
    stop = ("--gen_kwargs", "stop=esc,stop_window=2,num_return_sequences=6,latent_do_sample=true")
    several, _ = launch(torchrun(2), "several", *stop)
    alone, _ = launch((sys.executable,), "alone", *stop)
    assert timeless(several) == timeless(alone)
    assert len(list(several.rglob("store/*/*.jsonl"))) == 2  # both had work


@pytest.mark.slow
def test_accelerate_on_a_cpu_says_that_it_starts_one_process(launch):
    accelerate = (sys.executable, "-m", "accelerate.commands.launch", "--cpu")
    _, done = launch((*accelerate, "--num_processes", "2"), "out", "--limit", "1")
    assert "started one" in done.stderr
    assert "torchrun --nproc_per_node 2" in done.stderr


def test_to_lm_eval_a_process_is_alone(checkpoints):
    lm = LatentLM(str(checkpoints["coconut"]))
    assert (lm.rank, lm.world_size, lm.team.size, lm.team.leads) == (0, 1, 1, True)

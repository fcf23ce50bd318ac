"""Two launchers that meet over the network, as on two machines: what one process gives."""

import json
import os
import socket
import subprocess
import sys

import pytest

from tests.harness.evaluation import BENCHMARKS, timeless


@pytest.fixture
def start(checkpoints, data, quick_lm_eval):
    """Start lm-eval's command in a folder, by a launcher."""

    def run(launcher, folder):
        folder.mkdir(exist_ok=True)
        settings = "num_return_sequences=3,max_new_tokens=20"
        words = [
            *launcher,
            *("-m", "lm_eval", "run", "--model", "latent_tts", "--batch_size", "1"),
            *("--model_args", f"pretrained={checkpoints['coconut']},{settings}"),
            *("--include_path", str(BENCHMARKS), "--output_path", "out"),
            *("--metadata", json.dumps({"data_dir": str(data)})),
            *("--tasks", "latent_tts_gsm8k", "--log_samples"),
        ]
        return subprocess.Popen(
            words,
            env={**os.environ, **quick_lm_eval, "OMP_NUM_THREADS": "1"},
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    return run


def launchers():
    """Of two machines, each with one process, of which the first is met at a port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    # --multi_gpu: on CPUs accelerate starts what is to run over several processes with it alone.
    launch = (sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes")
    launch += ("2", "--num_machines", "2", "--main_process_ip", "127.0.0.1")
    launch += ("--main_process_port", port, "--mixed_precision", "no", "--dynamo_backend", "no")
    return [(*launch, "--machine_rank", str(rank)) for rank in range(2)]


@pytest.mark.slow
@pytest.mark.parametrize(
    "folders", [("one", "two"), pytest.param(("same", "same"), marks=pytest.mark.nightly)]
)
def test_two_machines_write_what_one_process_writes(start, tmp_path, folders):
    nodes = [
        start(launcher, tmp_path / folder)
        for launcher, folder in zip(launchers(), folders, strict=True)
    ]
    said = [node.communicate(timeout=500)[0] for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], said
    alone = start((sys.executable,), tmp_path / "alone")
    said_alone = alone.communicate(timeout=500)[0]
    assert alone.returncode == 0, said_alone
    assert timeless(tmp_path / folders[0]) == timeless(tmp_path / "alone")
    both = {tmp_path / folder for folder in folders}
    writers = [path for folder in both for path in folder.rglob("store/*/*.jsonl")]
    assert len(writers) == 2  # both had work
    results = [path for folder in both for path in folder.rglob("results_*.json")]
    assert len(results) == 1  # the first machine writes them

"""Several processes give what one gives."""

import json
import os
import subprocess
import sys

import pytest

from latent_tts.harness.lm import LatentLM
from latent_tts.results import collect, curve_table
from latent_tts.tasks import Pool
from tests.harness.evaluation import BENCHMARKS, evaluate, filtered, pools


@pytest.mark.slow
def test_two_processes_give_the_samples_of_one(checkpoints, data, tmp_path, quick_lm_eval):
    settings = {"num_return_sequences": 3, "max_new_tokens": 20}
    written = ",".join(f"{name}={value}" for name, value in settings.items())
    done = subprocess.run(
        [
            # What `accelerate launch` runs; its own --cpu starts one process only.
            *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
            *("--nproc_per_node", "2"),
            *("-m", "lm_eval", "run", "--model", "latent_tts", "--batch_size", "2"),
            *("--model_args", f"pretrained={checkpoints['coconut']},{written}"),
            *("--include_path", str(BENCHMARKS), "--metadata", json.dumps({"data_dir": str(data)})),
            *("--tasks", "latent_tts_gsm8k", "--log_samples", "--output_path", "out"),
            *("--use_cache", "cache"),
        ],
        env={**os.environ, **quick_lm_eval, "OMP_NUM_THREADS": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    one = evaluate(checkpoints["coconut"], data, model_args=settings)
    (file,) = (tmp_path / "out").rglob("samples_*.jsonl")
    samples = [json.loads(line) for line in file.read_text().splitlines()]
    samples.sort(key=lambda sample: sample["doc_id"])
    assert len(samples) == 9  # odd, so one process has a question less and pads
    assert [Pool.from_json(filtered(sample)) for sample in samples] == pools(one)
    for sample, alone in zip(samples, one["samples"]["latent_tts_gsm8k"], strict=True):
        assert sample["doc"] == alone["doc"]
        assert sample["coverage@3"] == alone["coverage@3"]
        assert set(sample["resps"][0]) == set(alone["resps"][0])
    (file,) = (tmp_path / "out").rglob("results_*.json")
    results = json.loads(file.read_text())
    averages = [
        {name: value for name, value in run["results"]["latent_tts_gsm8k"].items() if "," in name}
        for run in (results, one)
    ]
    assert averages[0] == pytest.approx(averages[1])  # sums in another order
    assert results["config"]["latent_tts"]["processes"] == 2
    assert done.stdout.count("coverage@3") == 1  # one process reports
    # Padding is no sample of its own to those who read the log.
    (run,), _ = collect([tmp_path / "out"])
    curve = curve_table(run)
    assert curve["questions"].tolist() == [9, 9, 9]


def test_one_process_has_only_itself_to_ask(checkpoints):
    lm = LatentLM(str(checkpoints["coconut"]))
    assert (lm.rank, lm.world_size) == (0, 1)
    assert lm.gather_object({"a": 1}) == [{"a": 1}]
    tensor = lm.model.get_input_embeddings().weight
    assert lm.all_gather(tensor) is tensor
    lm.barrier()

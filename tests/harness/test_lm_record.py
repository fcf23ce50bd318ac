"""What a run leaves behind: results file, sample log, table; through lm-eval's own command line."""

import hashlib
import json
import sys
from importlib.metadata import version

import pytest

from latent_tts.harness.lm import LatentLM
from latent_tts.tasks import Pool, pool_metrics
from tests.harness.evaluation import BENCHMARKS, evaluate, filtered, pools, question
from tests.models.test_adapter import write_adapter


def only(folder, pattern):
    (file,) = folder.rglob(pattern)
    return file


@pytest.mark.slow
def test_the_results_file_says_what_produced_the_numbers(run_command, checkpoints, capsys):
    out = run_command(
        *("--tasks", "latent_tts_gsm8k", "latent_tts_multiarith", "--batch_size", "4"),
        *("--seed", "7", "--limit", "5", "--device", "cuda"),
        *("--gen_kwargs", "noise_std=0.4,num_return_sequences=4"),
        model_args=["latent_do_sample_by=noise", "latent_length=3,revision=1234567"],
    )
    results = json.loads(only(out, "results_*.json").read_text())
    config = results["config"]
    assert config["model"] == "latent_tts"
    assert config["model_dtype"] == "torch.float32"
    assert config["model_revision"] == "1234567"
    assert config["model_num_parameters"] > 0
    ours = config["latent_tts"]
    assert ours["command"] == sys.argv  # nothing in it is secret
    assert ours["command"][:4] == ["lm_eval", "run", "--model", "latent_tts"]
    weights = (checkpoints["coconut"] / "model.safetensors").read_bytes()
    digest = hashlib.sha256(hashlib.sha256(weights).digest()).hexdigest()
    assert ours["checkpoint"] == {
        "name": str(checkpoints["coconut"]),
        "revision": "1234567",
        "commit": None,
        "weights_sha256": digest,
    }
    assert ours["backbone"] == "coconut"
    assert ours["prompt_format"] == "{question}\n<|start-latent|>"
    assert ours["aggregation"] == "voting"
    assert ours["device"] == "cpu"
    assert ours["versions"] == {
        name: version(name) for name in ("latent-tts", "lm-eval", "torch", "transformers")
    }
    assert ours["settings"]["noise_std"] == 0.6  # before the gen_kwargs
    assert set(ours["tasks"]) == {"latent_tts_gsm8k", "latent_tts_multiarith"}
    for task in ours["tasks"].values():
        assert task["settings"] == {
            "latent_length": 3,
            "max_latent_length": None,
            "latent_do_sample": True,
            "latent_do_sample_by": "noise",
            "noise_std": 0.4,
            "sampler_strength": "noise_std",
            "seed": 7,
            "num_return_sequences": 4,
            "num_beams": None,
            "num_beam_candidates": None,
            "max_new_tokens": 128,
            "do_sample": False,
            "temperature": 1.0,
        }
        assert task["throughput"].pop("seconds") > 0
        assert task["throughput"] == {
            "tasks_together": ["latent_tts_gsm8k", "latent_tts_multiarith"],
            "samples": 2 * 5 * 4,
            "processes": 1,
        }
    assert results["n-samples"]["latent_tts_gsm8k"]["effective"] == 5
    table = capsys.readouterr().out
    assert "coverage@4" in table
    assert "voting@2" in table
    assert "|±  |" in table
    assert list(out.rglob("samples_*")) == []


@pytest.mark.slow
def test_the_sample_log_holds_every_pool_as_one_json_object(run_command, checkpoints, data):
    out = run_command(
        *("--tasks", "latent_tts_gsm8k", "--log_samples", "--batch_size", "auto"),
        model_args=["num_return_sequences=3,max_new_tokens=20"],
    )
    lines = only(out, "samples_latent_tts_gsm8k_2*.jsonl").read_text().splitlines()
    samples = [json.loads(line) for line in lines]
    assert [sample["doc"]["question"] for sample in samples] == [question(i) for i in range(9)]
    settings = {"num_return_sequences": 3, "max_new_tokens": 20}
    expected = pools(evaluate(checkpoints["coconut"], data, model_args=settings))
    for sample, pool in zip(samples, expected, strict=True):
        content = json.loads(sample["resps"][0][0])
        assert list(content) == ["candidates", "question"]
        assert len(content["candidates"]) == 3
        for candidate in content["candidates"]:
            assert {"text", "answer", "thoughts", "answer_tokens", "truncated"} <= set(candidate)
            assert candidate["thoughts"] == 6
        assert Pool.from_json(filtered(sample)) == pool
        found = pool_metrics(pool, sample["target"])
        assert {name: sample[name] for name in found} == pytest.approx(found)
        assert sample["thoughts"] == 6


@pytest.mark.slow
def test_predictions_alone(run_command):
    out = run_command("--tasks", "latent_tts_gsm8k", "--predict_only", "--limit", "2")
    lines = only(out, "samples_latent_tts_gsm8k_2*.jsonl").read_text().splitlines()
    assert [json.loads(line)["doc_id"] for line in lines] == [0, 1]
    row = json.loads(only(out, "results_*.json").read_text())["results"]["latent_tts_gsm8k"]
    assert not any("@" in name for name in row)


@pytest.mark.slow
def test_a_share_of_the_questions(run_command):
    out = run_command("--tasks", "latent_tts_gsm8k", "--limit", "0.3")
    results = json.loads(only(out, "results_*.json").read_text())
    assert results["n-samples"]["latent_tts_gsm8k"] == {"original": 9, "effective": 3}


@pytest.mark.slow
def test_a_model_in_use_again_records_the_newest_run(checkpoints, data):
    lm = LatentLM(str(checkpoints["coconut"]))
    from lm_eval import simple_evaluate
    from lm_eval.tasks import TaskManager

    def settings(**gen_kwargs):
        manager = TaskManager(
            include_path=str(BENCHMARKS), include_defaults=False, metadata={"data_dir": str(data)}
        )
        results = simple_evaluate(
            model=lm,
            tasks=["latent_tts_gsm8k"],
            limit=1,
            task_manager=manager,
            gen_kwargs=gen_kwargs,
        )
        return results["config"]["latent_tts"]["tasks"]["latent_tts_gsm8k"]["settings"]

    assert settings(latent_length=2)["latent_length"] == 2
    assert settings(latent_length=3)["latent_length"] == 3


def test_weights_in_several_files_or_in_the_old_format_have_a_digest(checkpoints, tmp_path):
    lm = LatentLM(str(checkpoints["coconut"]))
    lm.model.name_or_path, lm.model.origin = str(tmp_path), None
    digests = [lm.get_model_info()["latent_tts"]["checkpoint"]["weights_sha256"]]
    assert digests == [None]
    for name in ("pytorch_model.bin", "model-1.safetensors", "model-2.safetensors"):
        (tmp_path / name).write_text(name)
        digests.append(lm.get_model_info()["latent_tts"]["checkpoint"]["weights_sha256"])
    assert len(set(digests)) == 4


@pytest.mark.slow
def test_an_adapter_is_named_with_its_digest(checkpoints, tmp_path):
    write_adapter(tmp_path, checkpoints["coconut"], "GPT2")
    name = str(checkpoints["coconut"])
    with_adapter, without = (
        LatentLM(name, **given).get_model_info()["latent_tts"]["checkpoint"]
        for given in ({"adapter": str(tmp_path)}, {})
    )
    digest = hashlib.sha256((tmp_path / "adapter_model.safetensors").read_bytes()).digest()
    own = {"adapter": str(tmp_path), "adapter_sha256": hashlib.sha256(digest).hexdigest()}
    assert with_adapter == without | own


def test_a_model_on_the_hub_is_named_by_its_commit(checkpoints):
    lm = LatentLM(str(checkpoints["coconut"]))
    lm.model.name_or_path, lm.model.config._commit_hash = "owner/name", "abc"
    lm.model.origin = None
    checkpoint = lm.get_model_info()["latent_tts"]["checkpoint"]
    assert checkpoint["commit"] == "abc"
    assert checkpoint["weights_sha256"] is None

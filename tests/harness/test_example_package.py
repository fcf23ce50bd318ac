"""A package of somebody else's adds a backbone, a sampler, a strategy and a task to lm_eval."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from latent_tts import tasks
from latent_tts.results import collect
from latent_tts.tasks import Pool, pool_metrics

EXAMPLE = Path(__file__).parents[1] / "example_package"
DOCS = Path(__file__).parents[2] / "docs" / "backbones-and-samplers.md"


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """A folder for PYTHONPATH into which the example is installed by pip."""
    folder = tmp_path_factory.mktemp("example")
    source = shutil.copytree(EXAMPLE, folder / "source")  # a build leaves files behind
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    command += ["--no-build-isolation", "--target", str(folder / "site"), str(source)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    shutil.copy(Path(tasks.__file__).parent / "benchmarks" / "_pool.yaml", source / "my_tasks")
    return folder


@pytest.fixture
def qwen2(tmp_path, checkpoints) -> Path:
    """A tiny Qwen2, as transformers would save it, with a tokenizer that has latent tokens."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, Qwen2Config

    tokenizer = AutoTokenizer.from_pretrained(checkpoints["coconut"])
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path / "qwen2")
    tokenizer.save_pretrained(tmp_path / "qwen2")
    return tmp_path / "qwen2"


@pytest.mark.slow
def test_lm_eval_runs_all_four(installed, qwen2, tmp_path, run_python, quick_lm_eval):
    settings = "backbone=doubled,latent_do_sample_by=uniform,uniform_width=0.7,seed=5"
    settings += ",num_return_sequences=4,max_new_tokens=20"
    path = f"{installed / 'site'}:{quick_lm_eval['PYTHONPATH']}"
    done = run_python(
        *("-m", "lm_eval", "run", "--model", "latent_tts", "--batch_size", "auto"),
        *(
            "--model_args",
            f"pretrained={qwen2},{settings},num_return_sequences=4,max_new_tokens=20",
        ),
        *("--include_path", str(installed / "source" / "my_tasks"), "--tasks", "my_task"),
        *("--log_samples", "--output_path", str(tmp_path / "out")),
        PYTHONPATH=path,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "runner_up@4" in done.stdout
    (file,) = (tmp_path / "out").rglob("results_*.json")
    about = json.loads(file.read_text())["config"]["latent_tts"]
    assert about["backbone"] == "doubled"
    assert about["settings"]["latent_length"] == 6
    assert about["settings"]["uniform_width"] == 0.7
    assert about["settings"]["sampler_strength"] == "uniform_width"
    (log,) = (tmp_path / "out").rglob("samples_my_task_*.jsonl")
    samples = [json.loads(line) for line in log.read_text().splitlines()]
    assert [sample["doc"]["id"] for sample in samples] == ["sum-0", "sum-1", "sum-2"]
    for sample in samples:
        pool = Pool.from_json(sample["resps"][0][0])
        assert pool.question == sample["doc"]["id"]
        assert len({candidate.text for candidate in pool.candidates}) > 1
        expected = pool_metrics(pool, str(sample["target"]))
        assert expected == {name: sample[name] for name in expected}  # all but the new strategy's
        assert {name for name in sample["metrics"] if name not in expected} == {
            "runner_up@1", "runner_up@2", "runner_up@4"
        }  # fmt: skip
    # Without the package its runs are still read.
    (run,), problems = collect([tmp_path / "out"])
    assert problems == []
    assert (run.config.sampler, run.config.strength) == ("uniform", 0.7)


def test_the_package_is_what_the_docs_show():
    example = (EXAMPLE / "my_package.py").read_text()
    blocks = re.findall(r"```(\w+)\n(.*?)```", DOCS.read_text(), re.DOTALL)
    classes = [text[text.index("class ") :] for kind, text in blocks if kind == "python"]
    assert [re.search(r"class (\w+)", text)[1] for text in classes] == [
        *("Doubled", "Uniform", "RunnerUp")
    ]
    for text in classes:
        assert text.strip() in example
    (points,) = [text for kind, text in blocks if kind == "toml"]
    assert points.strip() in (EXAMPLE / "pyproject.toml").read_text()
    (task,) = [text for kind, text in blocks if kind == "yaml"]
    assert task == (EXAMPLE / "my_tasks" / "my_task.yaml").read_text()

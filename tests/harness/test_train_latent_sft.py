"""Latent-SFT's two stages by `latent-tts train`, with tiny numbers."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from click.testing import CliRunner

from latent_tts.errors import LatentTTSError
from latent_tts.harness.commands.train import train
from latent_tts.models import AutoLatentModel
from latent_tts.models.training.soft_labels import FILE, read_soft_labels
from tests.harness.test_train import BASE
from tests.models.mixtures.checkpoints import write_checkpoint

RECIPES = Path(__file__).parents[2] / "recipes"
COMMON = {
    "data": [{"arith": 40}],
    "batch_size": 4,
    "report_to": "none",
    "learning_rate": 2e-3,
    "save_minutes": 0,
}
STAGE_1 = COMMON | {
    "objective": "latent_sft_labels",
    "base": BASE,
    "chat_template": "{{ messages[-1]['content'] + '\n' }}",
    "compression_rate": 4,
    "soft_label_size": 3,
    "encoder_updates": 2,
    "decoder_updates": 1,
    "updates": 4,
}
STAGE_2 = COMMON | {
    "objective": "latent_sft",
    "validation": [{"arith": 2}],
    "thought_tokens": 3,
    "most_thoughts": 24,
    "train_gumbel_scale": 0.5,
    "train_one_sided": True,
    "updates": 4,
}


def recipe_of(name):
    return yaml.safe_load((RECIPES / f"{name}.yaml").read_text())


def run(folder, name, recipe, *flags):
    file = folder / f"{name}.yaml"
    file.write_text(yaml.safe_dump(recipe))
    output = folder / name
    return CliRunner().invoke(
        train, [str(file), "--output", str(output), *flags], catch_exceptions=False
    )


def second(folder, **changes):
    found = {"base": str(folder / "one"), "soft_labels": str(folder / "one" / FILE)}
    return STAGE_2 | found | changes


@pytest.fixture(scope="module")
def stages(tmp_path_factory):
    """A folder in which both stages were trained."""
    folder = tmp_path_factory.mktemp("latent-sft")
    assert run(folder, "one", STAGE_1).exit_code == 0
    done = run(folder, "two", second(folder))
    assert "Validation accuracy" in done.output
    return folder


@pytest.mark.slow
def test_both_stages_leave_checkpoints_that_think_in_mixtures(stages):
    labels = read_soft_labels(str(stages / "one" / FILE))
    assert (labels.size, labels.rate, len(labels.keys)) == (3, 4, 40)
    for name in ("one", "two"):
        model = AutoLatentModel.from_pretrained(stages / name)
        assert model.backbone == "latent_sft"
        assert model.settings().mixing.mixture_size == 3
    assert model.settings().max_latent_length == 24


@pytest.mark.slow
def test_a_stage_that_was_killed_goes_on_to_the_same_labels(stages, tmp_path):
    # Half of the updates in another process, in the folder of the whole.
    file = tmp_path / "one.yaml"
    file.write_text(yaml.safe_dump(STAGE_1))
    script = (
        "import sys\nfrom transformers import TrainerCallback\n"
        "from latent_tts.models.training import checkpoints\n"
        "own = checkpoints.SaveByClock.on_step_end\n"
        "def stop(self, args, state, control, **kwargs):\n"
        "    if state.global_step == 3:\n        import os; os._exit(9)\n"
        "    own(self, args, state, control, **kwargs)\n"
        "checkpoints.SaveByClock.on_step_end = stop\n"
        "from latent_tts.harness.cli import main\n"
        "sys.argv = ['latent-tts', 'train', *sys.argv[1:]]\nmain()\n"
    )
    command = [sys.executable, "-c", script, str(file), "--output", str(tmp_path / "one")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    assert subprocess.run(command, env=environment, capture_output=True).returncode == 9
    assert not (tmp_path / "one" / FILE).exists()
    assert run(tmp_path, "one", STAGE_1).exit_code == 0
    left, right = (read_soft_labels(str(folder / "one" / FILE)) for folder in (stages, tmp_path))
    assert left.digest == right.digest
    assert left.start == right.start


@pytest.mark.slow
def test_labels_of_another_start_or_data_are_refused(stages):
    for changes, message in (
        ({"base": str(stages / "two")}, "were made for other weights"),
        ({"data": [{"arith": 41}]}, "they were made of other data"),
        ({"thought_tokens": 4}, "mix 3 tokens to a thought, and thought_tokens is 4"),
        ({"most_thoughts": 2}, "thoughts for .*, and most_thoughts is 2. Raise it"),
        ({"soft_labels": str(stages / "none")}, "cannot be read as soft labels"),
    ):
        with pytest.raises(LatentTTSError, match=message):
            run(stages, "refused", second(stages, **changes))
    assert not (stages / "refused").exists()


@pytest.mark.slow
@pytest.mark.parametrize("merge", [True, False])
def test_stages_of_adapters(stages, tmp_path, merge):
    base = {"base": str(stages / "two"), "lora_rank": 2, "publish": {"merge": merge}}
    assert run(tmp_path, "one", STAGE_1 | base | {"chat_template": ""}).exit_code == 0
    # Adapters that add no tokens find their base's tokenizer.
    assert (tmp_path / "one" / "tokenizer.json").exists() == merge
    going_on = {} if merge else base | {"adapter": str(tmp_path / "one")}
    recipe = second(tmp_path, **{"lora_rank": 2} | going_on)
    assert run(tmp_path, "two", recipe).exit_code == 0
    model = AutoLatentModel.from_pretrained(tmp_path / "two")
    before = AutoLatentModel.from_pretrained(stages / "two")
    assert torch.equal(  # which adapters leave as they are
        model.get_input_embeddings().weight, before.get_input_embeddings().weight
    )
    assert not torch.equal(*(one.transformer.h[0].attn.c_attn.weight for one in (model, before)))


BAD = {
    "positions": (
        {"base": {**BASE, "n_positions": 64}},
        "takes .* positions with objective latent_sft_labels; the model has 64",
    ),
    "template": ({"chat_template": ""}, "has no chat template, .* chat_template"),
    "broken template": ({"chat_template": "{{ messages"}, "chat template of .* refuses"),
    "size": ({"soft_label_size": 4000}, "mixture_size=4000, but .* tokens"),
    "sampler": ({"train_noise_std": 0.1}, "noise would blur them"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_of_stage_1_is_named_and_nothing_is_written(tmp_path, case):
    changes, message = BAD[case]
    with pytest.raises(LatentTTSError, match=message):
        run(tmp_path, "one", STAGE_1 | changes)
    assert not (tmp_path / "one").exists()


@pytest.mark.parametrize("name", ["tiny-latent-sft", "smollm2-latent-sft"])
def test_the_recipes_of_both_stages_fit_together(name):
    one, two = (recipe_of(f"{name}{stage}") for stage in ("-1", ""))
    assert two["data"] == one["data"]
    assert two["soft_labels"] == f"./{name}-1/{FILE}"
    assert f"./{name}-1" in (two["base"], two.get("adapter"))


@pytest.mark.slow
def test_the_smollm2_recipes_on_a_small_model(tmp_path):
    base = write_checkpoint(tmp_path / "base", "qwen")
    lines = [
        json.dumps({"question": f"{n}+2?", "steps": [f"{n}+2={n + 2}"], "answer": str(n + 2)})
        for n in range(8)
    ]
    data, held = tmp_path / "data.jsonl", tmp_path / "held.jsonl"
    data.write_text("\n".join(lines[:6]))
    held.write_text("\n".join(lines[6:]))
    changes = {"base": str(base), "adapter": None, "data": [str(data)], "report_to": "none"}
    changes |= {"batch_size": 2, "save_minutes": 0}
    small = {"encoder_updates": 1, "decoder_updates": 1, "updates": 3}
    name = "smollm2-latent-sft"
    assert run(tmp_path, f"{name}-1", recipe_of(f"{name}-1") | changes | small).exit_code == 0
    changes |= {"adapter": str(tmp_path / f"{name}-1"), "validation": [str(held)], "epochs": 1}
    changes |= {"soft_labels": str(tmp_path / f"{name}-1" / FILE)}
    done = run(tmp_path, name, recipe_of(name) | changes)
    assert "Validation accuracy" in done.output
    settings = AutoLatentModel.from_pretrained(tmp_path / name).settings()
    assert (settings.sampler.name, settings.num_return_sequences) == ("gumbel", 16)

"""A peft adapter read on top of a checkpoint samples as the merged weights do."""

import json
import shutil
import warnings

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM

from latent_tts.models import AutoLatentModel, ModelError
from latent_tts.models.identity import checkpoint_digest
from tests.checkpoints import write_on_trunk
from tests.marks import slow_but
from tests.models.conftest import Backbone
from tests.models.sampled import SAMPLING, check_same

TARGETS = {"GPT2": ["c_attn", "c_fc", "c_proj"], "Llama": ["q_proj", "o_proj", "down_proj"]}


class Adapted(Backbone):
    """A checkpoint with an adapter."""

    def __init__(self, kind, folder, adapter):
        super().__init__(kind, folder, kind)
        self.__dict__["model"] = AutoLatentModel.from_pretrained(
            folder, backbone=kind, adapter=adapter
        )


def write_adapter(folder, base, trunk):
    """Write an adapter of a plain model that changes it a lot, and the merged model's weights."""
    model = AutoModelForCausalLM.from_pretrained(base)
    rows = {"fan_in_fan_out": trunk == "GPT2"}
    with warnings.catch_warnings():  # peft asks transformers by a name that it is about to drop
        warnings.simplefilter("ignore", FutureWarning)
        adapted = get_peft_model(model, LoraConfig(r=4, target_modules=TARGETS[trunk], **rows))
    torch.manual_seed(5)
    for name, weight in adapted.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(weight, std=0.3)
    adapted.save_pretrained(folder)
    return adapted.merge_and_unload().state_dict()


@pytest.fixture(scope="module", params=[("coconut", "GPT2"), ("coconut", "Llama")], ids=str)
def written(request, tmp_path_factory):
    """The kind of backbone, and folders of a checkpoint, an adapter and the merged checkpoint."""
    kind, trunk = request.param
    folder = tmp_path_factory.mktemp("adapter")
    base = write_on_trunk(folder / "base", kind, trunk)
    merged = write_adapter(folder / "adapter", base, trunk)
    model = AutoLatentModel.from_pretrained(base, backbone=kind)
    model.load_state_dict(merged)
    model.save_pretrained(folder / "merged")
    Backbone(kind, base).tokenizer.save_pretrained(folder / "merged")
    return kind, base, folder / "adapter", folder / "merged"


@pytest.mark.parametrize("name", slow_but(["noise", "dropout", "answers"], "dropout"))
def test_samples_are_those_of_the_merged_weights(written, name):
    kind, base, adapter, merged = written
    settings = {**SAMPLING[name], "latent_length": 4, "max_new_tokens": 12, "seed": 2}
    settings["num_return_sequences"] = 3
    found = Adapted(kind, base, adapter).sample(settings)
    # Merging rounds the weights, and these models make much of little.
    check_same(found, Backbone(kind, merged).sample(settings), tolerance=1e-2)
    plain = Backbone(kind, base, kind).sample(settings)
    assert [one.answer_ids for one in plain.values()] != [one.answer_ids for one in found.values()]


def test_an_adapter_is_part_of_a_checkpoints_identity(written):
    kind, base, adapter, _ = written
    models = [Backbone(kind, base, kind).model, Adapted(kind, base, adapter).model]
    assert len({checkpoint_digest(model) for model in models}) == 2
    assert not models[1].training


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("of another size", "do not fit .*size mismatch"),
        ("of another kind", "do not fit .*Target modules .* not found in the base model"),
        ("missing", "is not there. Give the folder or hub id of a peft adapter"),
        ("no adapter", "has no adapter_config.json. Give the folder"),
    ],
)
def test_an_adapter_of_another_model_is_refused(written, tmp_path, given, why):
    kind, base, _, merged = written
    config = AutoConfig.from_pretrained(base)
    trunk = "GPT2" if config.model_type == "gpt2" else "Llama"
    adapter = merged if given == "no adapter" else tmp_path / "adapter"
    if given == "of another size":
        config.hidden_size *= 2
        AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path / "other")
        write_adapter(adapter, tmp_path / "other", trunk)
    elif given == "of another kind":
        other = "Llama" if trunk == "GPT2" else "GPT2"
        write_adapter(adapter, write_on_trunk(tmp_path / "other", kind, other), other)
    with pytest.raises(ModelError, match=f"(?s){adapter}.*{why}"):
        AutoLatentModel.from_pretrained(base, backbone=kind, adapter=adapter)


def test_an_adapter_with_fewer_or_other_weights_is_refused(written, tmp_path):
    """What it lacks would be random or nothing, without a word."""
    kind, base, adapter, _ = written
    config = json.loads((adapter / "adapter_config.json").read_text())
    shutil.copytree(adapter, tmp_path / "adapter")
    config["target_modules"] = config["target_modules"][:1]
    (tmp_path / "adapter/adapter_config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="do not fit"):
        AutoLatentModel.from_pretrained(base, backbone=kind, adapter=tmp_path / "adapter")

"""Weights that a model lacks, and weights that nobody reads."""

import logging
import re
import shutil

import pytest
import torch
from safetensors.torch import save_file

from latent_tts.models import AutoLatentModel, ModelError
from tests.checkpoints import edit_config, edit_weights

PROBE = {"probe.weight": torch.ones(1, 48), "probe.bias": torch.ones(1)}
GATE = {"stop_gate.weight": torch.ones(1, 48), "stop_gate.bias": torch.ones(1)}


@pytest.fixture
def gated(checkpoints, tmp_path):
    """A COCONUT whose file holds a stop gate too."""
    folder = shutil.copytree(checkpoints["coconut"], tmp_path / "gated")
    return edit_weights(folder, lambda tensors: tensors.update(GATE))


@pytest.fixture
def logged():
    """What transformers logs, which keeps its messages to itself."""
    records: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = records.append
    logging.getLogger("transformers").addHandler(handler)
    yield records
    logging.getLogger("transformers").removeHandler(handler)


def test_unread_weights_are_an_error_that_names_them(checkpoints, tmp_path, logged):
    folder = shutil.copytree(checkpoints["coconut"], tmp_path / "probed")
    edit_weights(folder, lambda tensors: tensors.update(PROBE))
    message = (
        r"The checkpoint .*probed' holds weights that nobody reads: probe\.bias, "
        r"probe\.weight\. Its .* ignore_weights=probe\.\*"
    )
    with pytest.raises(ModelError, match=message) as caught:
        AutoLatentModel.from_pretrained(folder)
    assert len(str(caught.value)) < 600
    assert not logged


def test_many_unread_weights_are_named_in_part(checkpoints, tmp_path):
    folder = shutil.copytree(checkpoints["coconut"], tmp_path / "x")
    more = {f"transformer.h.{i}.adapter.weight": torch.ones(2) for i in range(40)}
    edit_weights(folder, lambda tensors: tensors.update(more))
    with pytest.raises(ModelError, match=r"h\.0\.adapter\.weight, .* and 37 more\. Its"):
        AutoLatentModel.from_pretrained(folder)


@pytest.mark.parametrize(
    "exceptions",
    ["stop_gate.*", "stop_gate.weight+stop_gate.bias", ["stop_gate.weight", "*.bias"], "*"],
)
def test_ignore_weights_lists_exceptions(gated, checkpoints, exceptions, logged):
    model = AutoLatentModel.from_pretrained(gated, ignore_weights=exceptions)
    plain = AutoLatentModel.from_pretrained(checkpoints["coconut"])
    assert model.state_dict().keys() == plain.state_dict().keys()
    assert not logged


@pytest.mark.parametrize("exceptions", ["stop_gate.bias", ["probe.*"], "stop_gate"])
def test_what_no_exception_names_is_refused(gated, exceptions):
    with pytest.raises(ModelError, match=r"has a stop gate \(stop_gate\."):
        AutoLatentModel.from_pretrained(gated, ignore_weights=exceptions)


@pytest.mark.parametrize("exceptions", ["", 5, [3], ["a", ""], "a++b", None])
def test_what_is_no_list_of_names_is_refused(gated, exceptions):
    with pytest.raises(ModelError, match=r"ignore_weights=.* allowed are names of weights"):
        AutoLatentModel.from_pretrained(gated, ignore_weights=exceptions)


def test_ignoring_does_not_excuse_missing_weights(checkpoints, tmp_path):
    folder = shutil.copytree(checkpoints["colar"], tmp_path / "x")
    edit_weights(folder, lambda tensors: tensors.pop("lt_head.mean.bias"))
    with pytest.raises(ModelError, match=r"lacks weights .*: lt_head\.mean\.bias\. It"):
        AutoLatentModel.from_pretrained(folder, ignore_weights="*")


def test_a_projector_that_the_config_does_not_mention(checkpoints, tmp_path):
    folder = edit_config(shutil.copytree(checkpoints["codi"], tmp_path / "x"), projector=None)
    with pytest.raises(ModelError, match=r"nobody reads: projector\.1\.bias, .* and 3 more"):
        AutoLatentModel.from_pretrained(folder)


def test_a_checkpoint_read_as_another_backbone(checkpoints, tmp_path):
    folder = shutil.copytree(checkpoints["colar"], tmp_path / "x")
    edit_config(folder, architectures=["LlamaForCausalLM"])
    with pytest.raises(ModelError, match=r"nobody reads: lt_head.*name the right one with backb"):
        AutoLatentModel.from_pretrained(folder, backbone="codi")


def test_an_adapter_that_is_not_read(checkpoints, tmp_path):
    folder = shutil.copytree(checkpoints["coconut"], tmp_path / "x")
    save_file(PROBE, folder / "adapter_model.safetensors")  # without its adapter_config.json
    with pytest.raises(ModelError, match=r"nobody reads: adapter_model\.safetensors\. .* ignore_w"):
        AutoLatentModel.from_pretrained(folder)
    AutoLatentModel.from_pretrained(folder, ignore_weights="adapter_model.safetensors")


@pytest.mark.parametrize("name", ["projector.safetensors", "probe.pt"])
def test_a_file_of_weights_beside_the_model(checkpoints, tmp_path, name):
    folder = shutil.copytree(checkpoints["coconut"], tmp_path / "x")
    save_file(PROBE, folder / name)
    with pytest.raises(ModelError, match=rf"nobody reads: {re.escape(name)}\. .* ignore_w"):
        AutoLatentModel.from_pretrained(folder)
    AutoLatentModel.from_pretrained(folder, ignore_weights=f"{name.split('.')[0]}.*")


def test_weights_that_older_versions_wrote_too_are_no_fault(checkpoints, tmp_path):
    folder = shutil.copytree(checkpoints["coconut"], tmp_path / "x")
    mask = {"transformer.h.0.attn.bias": torch.ones(1, 1, 4, 4)}  # GPT-2's causal mask
    edit_weights(folder, lambda tensors: tensors.update(mask))
    AutoLatentModel.from_pretrained(folder)

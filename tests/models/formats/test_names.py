"""Weights under other names: what wrappers add, what was renamed, and stop gates."""

import json
import re
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from latent_tts.models import AutoLatentModel, ModelError
from latent_tts.models.formats import SourceOptions
from latent_tts.models.formats.wrapped import unwrapped
from tests.checkpoints import edit_config, edit_weights
from tests.models.formats.written import write_base, write_coconut, write_codi

GATE = {"stop_gate.weight": torch.ones(1, 48), "stop_gate.bias": torch.ones(1)}


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    """A raw COCONUT, and what must be said of it."""
    folder = tmp_path_factory.mktemp("raw")
    base = write_base(folder / "base", "GPT2", bos=False)
    path = write_coconut(folder / "run", base, thoughts=2).path
    return path, {"base": str(base), "latent_length": 2}


def load(path, ignore_weights=(), backbone=None, **options):
    return AutoLatentModel.from_pretrained(
        path,
        backbone=backbone,
        source=SourceOptions(**options),
        ignore_weights=ignore_weights,
    )


def rename(path, target, change):
    tensors = torch.load(path, weights_only=True)
    torch.save({change(name): each for name, each in tensors.items()}, target)
    return target


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("base_causallm.", "base_causallm._orig_mod."),
        ("base_causallm.", "base_causallm.module."),
        ("base_causallm.", "base_causallm._orig_mod.module."),
        ("base_causallm.transformer.", "base_causallm._fsdp_wrapped_module.transformer._orig_mod."),
        (".mlp.", "._checkpoint_wrapped_module.mlp."),
    ],
)
def test_wrappers_in_the_middle_of_names(raw, tmp_path, old, new):
    path, given = raw
    wrapped = rename(path, tmp_path / "checkpoint_1", lambda name: name.replace(old, new))
    ours, theirs = (load(each, **given).state_dict() for each in (wrapped, path))
    assert all(torch.equal(ours[name], weight) for name, weight in theirs.items())


def test_a_wrapper_in_the_middle_of_a_released_checkpoint(checkpoints, tmp_path):
    folder = shutil.copytree(checkpoints["codi"], tmp_path / "x")
    tensors = load_file(folder / "model.safetensors")
    named = {n.replace("transformer.", "transformer._orig_mod."): t for n, t in tensors.items()}
    save_file(named, folder / "model.safetensors")
    ours, theirs = (load(each).state_dict() for each in (folder, checkpoints["codi"]))
    assert all(torch.equal(ours[name], weight) for name, weight in theirs.items())


def test_a_part_of_a_model_may_be_called_module():
    names = ["a.module.w", "a.other.w", "module"]
    assert list(unwrapped(dict.fromkeys(names))) == names
    assert list(unwrapped({"module.module.w": 0, "module._orig_mod.v": 1})) == ["module.w", "v"]
    with pytest.raises(ModelError, match=r"a\._orig_mod\.w has the name of another weight"):
        unwrapped({"a._orig_mod.w": 0, "a.w": 1})


@pytest.mark.parametrize(
    ("kind", "old", "new", "lacking"),
    [
        ("codi", "projector.", "prj.", "projector.1"),
        ("coconut", "transformer.", "net.transformer.", "transformer.h.0"),
        ("colar", "lt_head.", "latent_policy2.", "lt_head.fc"),
    ],
)
def test_weights_of_other_names_are_not_called_missing(
    checkpoints, tmp_path, kind, old, new, lacking
):
    folder = shutil.copytree(checkpoints[kind], tmp_path / "x")

    def change(tensors):
        for name in [name for name in tensors if name.startswith(old)]:
            tensors[new + name.removeprefix(old)] = tensors.pop(name)

    with pytest.raises(ModelError, match=rf"lacks .*{lacking}.* holds others .*{new}.* same under"):
        load(edit_weights(folder, change))
    with pytest.raises(ModelError) as caught:  # nor where the others may be left unread
        load(folder, ignore_weights="*")
    assert "completely" not in str(caught.value)


def test_raw_weights_of_other_names_are_not_called_missing(raw, tmp_path):
    path, given = raw
    renamed = rename(path, tmp_path / "checkpoint_1", lambda name: name.replace(".h.", ".net."))
    message = r"lacks transformer.h.0.* and holds transformer.net.0.* same under other names"
    with pytest.raises(ModelError, match=message) as caught:
        load(renamed, **given)
    assert "completely" not in str(caught.value)


def test_what_is_missing_and_nothing_else_was_not_saved(checkpoints, tmp_path):
    folder = shutil.copytree(checkpoints["codi"], tmp_path / "x")
    edit_weights(folder, lambda tensors: tensors.pop("projector.3.bias"))
    with pytest.raises(ModelError, match=r"lacks .*projector.3.bias\. .* Or it was not saved"):
        load(folder)


@pytest.mark.parametrize("name", ["stop_gate.weight", "base_causallm.stop_gate.0.weight"])
def test_a_gate_among_raw_weights(raw, tmp_path, name):
    path, given = raw
    tensors = torch.load(path, weights_only=True) | {name: torch.ones(1, 32)}
    torch.save(tensors, tmp_path / "checkpoint_1")
    with pytest.raises(ModelError, match=rf"stop gate \({name};.*Nothing states its threshold"):
        load(tmp_path / "checkpoint_1", **given)
    model = load(tmp_path / "checkpoint_1", ignore_weights="*stop_gate*", **given)
    assert any("by ignore_weights" in fact for fact in model.origin.left_out)


@pytest.mark.parametrize("name", ["stop_gate.pt", "halt_gate.safetensors"])
def test_a_gate_in_a_file_of_its_own(raw, checkpoints, tmp_path, name):
    path, given = raw
    for folder, more in (
        (shutil.copytree(checkpoints["coconut"], tmp_path / "released"), {}),
        (shutil.copytree(path.parent, tmp_path / "raw"), given),
    ):
        save_file(GATE, folder / name)
        with pytest.raises(ModelError, match=rf"stop gate \(.*{name};"):
            load(folder, **more)
        pattern = f"*{name.partition('.')[0]}*"
        assert load(folder, ignore_weights=f"*stop_gate*+{pattern}", **more).backbone == "coconut"
    with pytest.raises(ModelError, match=rf"stop gate \({name};"):  # beside the file itself
        load(tmp_path / "raw" / path.name, **given)


def test_a_gate_in_a_file_of_another_name(checkpoints, tmp_path):
    folder = shutil.copytree(checkpoints["coconut"], tmp_path / "x")
    save_file(GATE, folder / "extra.safetensors")
    message = r"stop gate \(extra.safetensors, stop_gate.bias, .*ignore_weights=(\S+),"
    with pytest.raises(ModelError, match=message) as caught:
        load(folder)
    (advice,) = re.findall(message, str(caught.value))
    assert load(folder, ignore_weights=advice).backbone == "coconut"


@pytest.mark.parametrize("trunk", ["COCONUT", "CODI"])
def test_a_checkpoint_of_slpo(checkpoints, tmp_path, trunk):
    folder = shutil.copytree(checkpoints["coconut"], tmp_path / "slpo")
    edit_config(folder, architectures=[f"Latent{trunk}GPT2"], gate_threshold=0.6)
    edit_weights(folder, lambda tensors: tensors.update(GATE))
    with pytest.raises(ModelError, match=rf"stop gate \(Latent{trunk}GPT2;.*gate_threshold=0.6"):
        load(folder)
    with pytest.raises(ModelError, match=r"stop gate \(stop_gate.bias, stop_gate.weight;"):
        load(folder, backbone="coconut")
    assert load(folder, backbone="coconut", ignore_weights="*stop_gate*").backbone == "coconut"


def test_an_option_that_contradicts_the_files(raw, checkpoints, tmp_path):
    path, given = raw
    with pytest.raises(ModelError, match=r"backbone='codi', but .* which is coconut. Leave"):
        load(path, backbone="codi", **given)
    with pytest.raises(ModelError, match=r"backbone='codi', but the checkpoint .* is coconut"):
        load(checkpoints["coconut"], backbone="codi")
    for name, value in (("lora_alpha", 8.0), ("thinking_speed", "3"), ("embeds_std", 0.1)):
        with pytest.raises(ModelError, match=rf"{name}=.* has no meaning .* read with base, late"):
            load(path, **given, **{name: value})
    codi = write_codi(tmp_path, given["base"], ["c_attn"]).path
    with pytest.raises(ModelError, match=r"embeds_std=0.1 has no meaning .*CODI"):
        load(codi, base=given["base"], lora_alpha=8, embeds_std=0.1)


def test_a_scale_of_updates_that_are_not_there(raw, tmp_path):
    _, given = raw
    codi = write_codi(tmp_path, given["base"], ["c_attn"]).path / "pytorch_model.bin"
    tensors = torch.load(codi, weights_only=True)
    torch.save({n: t for n, t in tensors.items() if ".lora_" not in n}, codi)
    with pytest.raises(ModelError, match=r"lora_alpha=8, but .* holds no low-rank updates"):
        load(codi, base=given["base"], lora_alpha=8)


def test_the_backbone_may_be_said_in_either_place(tmp_path):
    markers = ("<|start-latent|>", "<|end-latent|>")
    base = write_base(tmp_path, "GPT2", bos=False, extra=markers)
    options = SourceOptions(backbone="codi", latent_length=3)
    model = AutoLatentModel.from_pretrained(base, source=options)
    assert model.backbone == "codi"
    assert model.settings().latent_length == 3
    with pytest.raises(ModelError, match=r"backbone='coconut', but source says backbone='codi'"):
        AutoLatentModel.from_pretrained(base, backbone="coconut", source=options)


def test_run_folders_of_latent_sft(tmp_path):
    base = write_base(tmp_path / "base", "Llama", bos=False)
    run = tmp_path / "run"
    for place in ("checkpoint-9/hf", "checkpoint-12/hf"):
        shutil.copytree(base, run / place)
    with pytest.raises(ModelError, match=r"checkpoint-12/hf or pretrained=.*checkpoint-9/hf, back"):
        load(run)
    with pytest.raises(ModelError, match=r"run folder of Latent-SFT.*latent_sft reads. Give .*/hf"):
        load(run / "checkpoint-9")
    union = tmp_path / "union"
    for part in ("encoder_weight", "decoder_weight"):
        (union / "lora_adapter" / part).mkdir(parents=True)
        (union / "lora_adapter" / part / "adapter_config.json").write_text(json.dumps({"r": 8}))
    for folder in (union, union / "lora_adapter"):
        with pytest.raises(ModelError, match=r"adapters alone: .*decoder_weight.*merge_lora"):
            load(folder)

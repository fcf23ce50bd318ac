"""Files that are no checkpoint, or only in part: each refused for its own reason."""

import argparse
import pickle
import shutil

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from safetensors.torch import save_file
from torch import nn

from latent_tts.models import AutoLatentModel, ModelError
from latent_tts.models.formats import SourceOptions
from tests.models.formats.written import write_base, write_coconut, write_colar


def load(path, **options):
    return AutoLatentModel.from_pretrained(path, source=SourceOptions(**options))


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return write_base(tmp_path_factory.mktemp("base"), "GPT2", bos=False)


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    return write_base(tmp_path_factory.mktemp("llama"), "Llama", bos=True)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("README.md", b"# My model\n", r"a text that begins with '# My model'"),
        ("config.json", b'{"model_type": "gpt2"}', r"a text .*Give its folder: "),
        ("last.ckpt", b"", r"it is empty"),
        ("model.gguf", b"GGUF\x03\0\0\0" + bytes(40), r"it is GGUF, llama.cpp's format"),
        ("x.bin", bytes(range(200, 232)), r"begins with the bytes c8 c9"),
        ("data.npz", b"PK\x05\x06" + bytes(18), r"a zip archive of something else"),
        ("x.ckpt", b"\x80\x02}q\0(X\x03\0", r"that torch can read, or is damaged \("),
    ],
)
def test_what_torch_has_not_written(tmp_path, base, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelError, match=message):
        load(tmp_path / name, base=str(base), latent_length=2)


def test_a_file_that_was_cut_off(tmp_path, base):
    path = write_coconut(tmp_path, base, thoughts=2).path
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(ModelError, match=r"no file of weights|damaged|something else"):
        load(path, base=str(base), latent_length=2)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"state_dict": 5}, r"under 'state_dict', holds a int; a checkpoint holds tensors"),
        ({"state_dict": None}, r"under 'state_dict', holds a NoneType"),
        ({"state_dict": {}}, r"under 'state_dict', holds nothing at all"),
        ({"state_dict": [torch.ones(2)]}, r"under 'state_dict', holds a list"),
        ({}, r"holds nothing at all"),
        ([torch.ones(2)], r"holds a list; a checkpoint holds tensors by name"),
        (torch.ones(2), r"holds a Tensor; a checkpoint holds tensors by name"),
        (
            {"model": {"a": torch.ones(2)}, "epoch": 3},
            r"weights: model \(a dict\), epoch \(a int\)",
        ),
        ({"base_causallm.a": 3, "b": torch.ones(2)}, r"weights: base_causallm.a \(a int\)"),
        ({"base_causallm.a": np.ones(3)}, r"base_causallm.a \(a numpy array or number\)"),
        ({"base_causallm.a": argparse.Namespace(x=1)}, r"\(an object of argparse.Namespace\)"),
        (nn.Linear(2, 2), r"holds (an object of torch.*Linear; |a whole module).*state_dict\(\)"),
    ],
)
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_what_is_no_tensor(tmp_path, base, content, message, zipped):
    torch.save(content, tmp_path / "x.ckpt", _use_new_zipfile_serialization=zipped)
    with pytest.raises(ModelError, match=message):
        load(tmp_path / "x.ckpt", base=str(base), latent_length=2)


def test_a_pickle_of_a_newer_protocol(tmp_path, base):
    (tmp_path / "x.ckpt").write_bytes(pickle.dumps({"a": [1.5]}, protocol=5))
    with pytest.raises(ModelError, match=r"executes nothing .*stops with .*Save the model's"):
        load(tmp_path / "x.ckpt", base=str(base), latent_length=2)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("transformer.wte.weight", torch.ones(())),
        ("transformer.wte.weight", torch.ones(5)),
        ("transformer.wte.weight", torch.ones(2, 3, 4)),
        ("transformer.wte.weight", torch.ones(0, 32)),
        ("transformer.ln_f.weight", torch.ones(())),
        ("transformer.h.0.attn.c_attn.weight", torch.ones(3)),
    ],
)
def test_weights_of_other_dimensions(tmp_path, base, name, value):
    path = write_coconut(tmp_path, base, thoughts=2).path
    tensors = torch.load(path, weights_only=True) | {f"base_causallm.{name}": value}
    tensors.pop("embedding.weight")
    torch.save(tensors, path)
    with pytest.raises(ModelError, match=r"is not the base of that checkpoint"):
        load(path, base=str(base), latent_length=2)


@pytest.mark.parametrize("kind", [torch.int8, torch.uint8, torch.bool, torch.complex64])
def test_weights_of_other_numbers(tmp_path, base, kind):
    path = write_coconut(tmp_path, base, thoughts=2).path
    name = "base_causallm.transformer.h.1.mlp.c_fc.weight"
    tensors = torch.load(path, weights_only=True)
    torch.save(tensors | {name: tensors[name].to(kind)}, path)
    with pytest.raises(ModelError, match=rf"{name} \({str(kind)[6:]}\)\. Numbers of fewer bits"):
        load(path, base=str(base), latent_length=2)


def test_a_legacy_lightning_file_and_safetensors_without_their_suffix(tmp_path, base, llama):
    path = write_colar(tmp_path / "colar", llama).path
    theirs = load(path, base=str(llama)).state_dict()
    content = torch.load(path, weights_only=False)
    torch.save(content, path, _use_new_zipfile_serialization=False)
    ours = load(path, base=str(llama)).state_dict()
    assert all(torch.equal(ours[name], weight) for name, weight in theirs.items())
    path = write_coconut(tmp_path / "coconut", base, thoughts=2).path
    tensors = {n: t.clone() for n, t in torch.load(path, weights_only=True).items()}
    save_file(tensors, tmp_path / "checkpoint_2")
    assert load(tmp_path / "checkpoint_2", base=str(base), latent_length=2).backbone == "coconut"


def with_settings(path, target, settings):
    content = torch.load(path, weights_only=False)
    content["hyper_parameters"] = {"all_config": OmegaConf.create(settings)}
    target.mkdir()
    torch.save(content, target / "last.ckpt")
    return target / "last.ckpt"


MODEL = {"model_id": "Llama-3.2-1B-Instruct"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"lora": {"lora_alpha": "${nothing.alpha}"}},
            r"lora_alpha='\$\{nothing.alpha\}'.*Give lo",
        ),
        ({"lora_alpha": "${oc.env:ALPHA}"}, r"lora_alpha='\$\{oc.env:ALPHA\}'.*Give lora_alpha="),
        ({"lora_alpha": "${a}", "a": "${lora_alpha}"}, r"cannot be told from them"),
        ({"lora_alpha": "many"}, r"lora_alpha='many' in its settings, which must be a finite"),
        ({"lora_alpha": True}, r"lora_alpha=True in its settings"),
        ({"lora_alpha": [8]}, r"lora_alpha=\[8\] in its settings"),
        ({"lora_alpha": 8, "compression_factor": "${x}"}, r"compression_factor='\$\{x\}'"),
        ({"lora_alpha": 8, "compression_factor": 9}, r"compression_factor=9 .*thinking speed is"),
    ],
)
def test_settings_that_say_nothing_usable(tmp_path, llama, settings, message):
    path = write_colar(tmp_path / "colar", llama).path
    with pytest.raises(ModelError, match=message):
        load(with_settings(path, tmp_path / "x", MODEL | settings), base=str(llama))


@pytest.mark.parametrize(
    "settings",
    [
        {
            "a": {"alpha": 8, "speed": 3},
            "lora_alpha": "${a.alpha}",
            "compression_factor": "${a.speed}",
        },
        {"lora": {"lora_alpha": "8"}, "compression_factor": 3.0},
    ],
)
def test_settings_that_refer_to_others(tmp_path, llama, settings):
    path = write_colar(tmp_path / "colar", llama).path
    model = load(with_settings(path, tmp_path / "x", MODEL | settings), base=str(llama))
    assert "(Thinking speed: 3)" in model.format_prompt("q")
    theirs = load(path, base=str(llama), lora_alpha=8)
    assert torch.equal(model.lm_head.weight, theirs.lm_head.weight)
    name = "model.layers.0.self_attn.q_proj.weight"
    assert torch.equal(model.state_dict()[name], theirs.state_dict()[name])


def test_a_run_folder_of_colar(tmp_path, llama):
    run = tmp_path / "run"
    path = write_colar(run / "checkpoints", llama).path
    shutil.move(run / "checkpoints" / "hparams.yaml", run / "hparams.yaml")
    assert load(run, base=str(llama)).latent_embedding_std == 0.018
    shutil.copy(path, run / "checkpoints" / "epoch3__step12__monitor0.2.ckpt")
    with pytest.raises(ModelError, match=r"holds 2 checkpoints: epoch3.*Say which, .*/last.ckpt"):
        load(run, base=str(llama))
    content = torch.load(path, weights_only=False)
    torch.save({"state_dict": content["state_dict"]}, path)
    (run / "hparams.yaml").write_text(
        "all_config:\n  model_id: gpt2\n  lora:\n    lora_alpha: 8\n  compression_factor: 4\n"
    )
    model = load(path, base=str(llama))
    assert (model.latent_embedding_std, model.config.thinking_speed) == (0.12, "4")


def test_colar_may_be_told_how_many_thoughts(tmp_path, llama):
    path = write_colar(tmp_path, llama).path
    assert load(path, base=str(llama), latent_length=3).settings().latent_length == 3

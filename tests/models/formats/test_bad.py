"""What cannot be loaded is refused, with what was found and what to do; no pickle is executed."""

import builtins
import json
import os
import pickle
import shutil
import subprocess
import zipfile

import pytest
import torch
from safetensors.torch import load_file, save_file

from latent_tts.models import AutoLatentModel, ModelError
from latent_tts.models.formats import SourceOptions
from tests.models.formats.written import write_base, write_coconut, write_codi, write_colar
from tests.models.test_adapter import write_adapter


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return write_base(tmp_path_factory.mktemp("base"), "GPT2", bos=False)


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    return write_base(tmp_path_factory.mktemp("llama"), "Llama", bos=True)


@pytest.fixture(scope="module")
def coconut(base, tmp_path_factory):
    return write_coconut(tmp_path_factory.mktemp("coconut"), base, thoughts=4).path


@pytest.fixture(scope="module")
def codi(base, tmp_path_factory):
    return write_codi(tmp_path_factory.mktemp("codi"), base, ["c_attn"], rank=6).path


@pytest.fixture(scope="module")
def colar(llama, tmp_path_factory):
    return write_colar(tmp_path_factory.mktemp("colar"), llama).path


def load(path, backbone=None, **options):
    return AutoLatentModel.from_pretrained(path, backbone=backbone, source=SourceOptions(**options))


def edit(path, folder, change):
    """Write the pickled tensors of `path` anew after a change, and return where."""
    tensors = torch.load(path, weights_only=True)
    change(tensors)
    target = folder / "checkpoint_1"
    torch.save(tensors, target)
    return target


def test_no_base(coconut, codi, colar):
    for path, given in ((coconut, {"latent_length": 4}), (codi, {"lora_alpha": 8}), (colar, {})):
        with pytest.raises(ModelError, match=r"Give base=, a folder or hub id"):
            load(path, **given)


def test_a_base_that_does_not_fit(coconut, codi, llama, tmp_path):
    for path, given in ((coconut, {"latent_length": 4}), (codi, {"lora_alpha": 8})):
        with pytest.raises(ModelError, match=r"not the base of that checkpoint"):
            load(path, base=str(llama), **given)
    wider = write_base(tmp_path / "wider", "GPT2", bos=False, n_embd=64)
    with pytest.raises(ModelError, match=r"has shape \(263, 32\) in .*\(263, 64\) in the base"):
        load(coconut, base=str(wider), latent_length=4)


def test_a_base_that_is_a_file_or_missing(coconut, base):
    with pytest.raises(ModelError, match=r"is a file; give the base's folder"):
        load(coconut, base=str(base / "config.json"), latent_length=4)
    with pytest.raises(ModelError, match=r"cannot be read"):
        load(coconut, base=str(base / "nothing"), latent_length=4)


def test_a_base_may_be_one_that_is_fetched_by_name(coconut, tmp_path, monkeypatch):
    monkeypatch.setenv("LATENT_TTS_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match=r"Fetch it once: latent-tts base smollm2"):
        load(coconut, base="smollm2", latent_length=4)


def test_a_number_of_thoughts_is_asked_for(coconut, base):
    with pytest.raises(ModelError, match=r"does not say how many thoughts.*latent_length="):
        load(coconut, base=str(base))


def test_alpha_is_asked_for(codi, base):
    with pytest.raises(ModelError, match=r"give lora_alpha=; the published scripts have.*=32"):
        load(codi, base=str(base))


def test_alpha_and_scale_of_colar_are_in_the_file(colar, llama, tmp_path):
    assert load(colar, base=str(llama)).latent_embedding_std == 0.018
    read = torch.load(colar, weights_only=False)
    torch.save({"state_dict": read["state_dict"]}, tmp_path / "bare.ckpt")
    with pytest.raises(ModelError, match=r"give lora_alpha="):
        load(tmp_path / "bare.ckpt", base=str(llama))
    with pytest.raises(ModelError, match=r"give embeds_std=. Known are: .*gpt2 0.12"):
        load(tmp_path / "bare.ckpt", base=str(llama), lora_alpha=8)
    bare = load(tmp_path / "bare.ckpt", base=str(llama), lora_alpha=8, embeds_std=0.018)
    assert torch.equal(bare.lm_head.weight, load(colar, base=str(llama)).lm_head.weight)


def test_a_folder_of_several_checkpoints_asks_which(coconut, base, tmp_path):
    for number in (3, 12):
        shutil.copy(coconut, tmp_path / f"checkpoint_{number}")
    with pytest.raises(ModelError, match=r"holds 2 checkpoints: checkpoint_12, checkpoint_3. Say"):
        load(tmp_path, base=str(base), latent_length=4)


def test_unknown_missing_and_differing_weights(coconut, base, tmp_path):
    given = {"base": str(base), "latent_length": 4}
    head = "base_causallm.lm_head.weight"
    for change, message in [
        (lambda tensors: tensors.update({"stop_gate.weight": torch.ones(1)}), "has a stop gate"),
        (lambda tensors: tensors.update({"probe.weight": torch.ones(1)}), "holds probe.weight"),
        (
            lambda tensors: tensors.pop("base_causallm.transformer.ln_f.bias"),
            "lacks transformer",
        ),
        (lambda tensors: tensors.update({"embedding.weight": torch.ones(2)}), "that differ"),
        (lambda tensors: tensors.update({head: tensors[head] + 1}), "differ in .*tie_word_emb"),
        (lambda tensors: tensors.update({"base_causallm.x": torch.ones(1)}), "holds x, which"),
    ]:
        with pytest.raises(ModelError, match=message):
            load(edit(coconut, tmp_path, change), **given)


def test_half_a_low_rank_update_and_one_of_another_base(codi, base, tmp_path):
    name = "codi.base_model.model.transformer.h.0.attn.c_attn.lora_A.default.weight"
    for change, message in [
        (lambda tensors: tensors.pop(name), r"h.0.attn.c_attn' in .* has B alone"),
        (lambda tensors: tensors.update({name: torch.ones(6, 5)}), "not the base of that"),
        (lambda tensors: tensors.update({name: torch.ones(5)}), "lora_A of shape .*one rank r"),
        (lambda tensors: tensors.update({name: torch.ones(())}), "lora_A of shape .*one rank r"),
    ]:
        with pytest.raises(ModelError, match=message):
            load(edit(codi / "pytorch_model.bin", tmp_path, change), base=str(base), lora_alpha=1)


def test_what_is_no_checkpoint(tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(ModelError, match=r"no file of weights: .* a text that begins with 'hello'"):
        load(tmp_path / "notes.txt")
    with pytest.raises(ModelError, match=r"it holds no file of weights .*Tried were: a peft"):
        load(tmp_path)
    torch.save({"anything.weight": torch.ones(2)}, tmp_path / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"weights such as anything.weight.*Tried were"):
        load(tmp_path)
    torch.save([torch.ones(2)], tmp_path / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"holds a list; a checkpoint holds tensors by name"):
        load(tmp_path)


def test_a_missing_shard(tmp_path, codi, base):
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "../evil.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ModelError, match=r"lacks .*evil.safetensors, .*the download is incomplete"):
        load(tmp_path, base=str(base), lora_alpha=1)


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module._orig_mod."])
def test_shards_and_prefixes(codi, base, tmp_path, prefix):
    tensors = torch.load(codi / "pytorch_model.bin", weights_only=True)
    named = {f"{prefix}{name}": each.clone() for name, each in tensors.items()}
    shards = [f"model-0000{number}-of-00002.safetensors" for number in (1, 2)]
    places = {name: shards[index % 2] for index, name in enumerate(named)}
    for place in shards:
        save_file({n: t for n, t in named.items() if places[n] == place}, tmp_path / place)
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    (tmp_path / "config.json").write_text("")
    ours, theirs = (load(path, base=str(base), lora_alpha=8) for path in (tmp_path, codi))
    for name, weight in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[name], weight), name


def test_prefixes_of_a_released_checkpoint(checkpoints, tmp_path):
    folder = shutil.copytree(checkpoints["codi"], tmp_path / "wrapped")
    tensors = load_file(folder / "model.safetensors")
    save_file({f"_orig_mod.{n}": t for n, t in tensors.items()}, folder / "model.safetensors")
    ours, theirs = (AutoLatentModel.from_pretrained(each) for each in (folder, checkpoints["codi"]))
    assert torch.equal(ours.projector[1].weight, theirs.projector[1].weight)
    assert torch.equal(ours.transformer.wte.weight, theirs.transformer.wte.weight)


def test_what_transformers_would_read_is_read_whatever_lies_beside_it(
    checkpoints, codi, base, tmp_path
):
    """Mistral's checkpoints hold all weights once more, as consolidated.safetensors."""
    released = shutil.copytree(checkpoints["coconut"], tmp_path / "released")
    raw = shutil.copytree(codi, tmp_path / "raw")
    for folder in (released, raw):
        save_file({"a": torch.ones(2)}, folder / "consolidated.safetensors")
        torch.save({"a": torch.ones(2)}, folder / "checkpoint_1")
    assert AutoLatentModel.from_pretrained(released).backbone == "coconut"
    assert load(raw, base=str(base), lora_alpha=8).backbone == "codi"


def test_an_option_without_meaning(checkpoints):
    with pytest.raises(ModelError, match=r"base='x' says of files of a training program"):
        load(checkpoints["coconut"], base="x")
    with pytest.raises(ModelError, match=r"thinking_speed='3'.*is a coconut checkpoint"):
        load(checkpoints["coconut"], thinking_speed="3")
    with pytest.raises(ModelError, match=r"thinking_speed='9'; allowed are 1, 2, 3, 4, 5, auto"):
        load(checkpoints["colar"], thinking_speed="9")
    assert "(Thinking speed: auto)" in load(
        checkpoints["colar"], thinking_speed="auto"
    ).format_prompt("q")


@pytest.fixture(scope="module")
def adapter(tmp_path_factory):
    folder = tmp_path_factory.mktemp("adapter")
    markers = ("<|start-latent|>", "<|end-latent|>", "<|latent|>")
    latent = write_base(folder / "base", "GPT2", bos=False, extra=markers)
    write_adapter(folder / "adapter", latent, "GPT2")
    return folder / "adapter", latent


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (None, "holds an adapter's weights .* without its adapter_config.json"),
        ("", "adapter_config.json of .* cannot be read"),
        ("[]", "cannot be read .*Expected `object`, got `array`"),
        ("{", "cannot be read"),
        ('{"r": 4}', "missing required field `peft_type`"),
        ('{"peft_type": "LORA", "r": "four"}', "Expected `int . null`, got `str`"),
        ('{"peft_type": "NEW", "r": 4}', "do not fit .*'NEW'"),
        (
            '{"peft_type": "LORA", "r": 2, "fan_in_fan_out": true, "target_modules": ["c_attn"]}',
            "(?s)do not fit .*size mism",
        ),
    ],
)
def test_an_adapters_config_that_is_missing_or_damaged(adapter, tmp_path, config, message):
    folder, base = adapter
    copy = shutil.copytree(folder, tmp_path / "copy")
    place = copy / "adapter_config.json"
    place.unlink() if config is None else place.write_text(config)
    with pytest.raises(ModelError, match=message):
        load(copy, base=str(base), backbone="coconut", latent_length=2)


def test_an_adapter_without_weights(adapter, tmp_path):
    folder, base = adapter
    shutil.copy(folder / "adapter_config.json", tmp_path)
    with pytest.raises(ModelError, match=r"no adapter_model.safetensors .*weights are missing"):
        load(tmp_path, base=str(base), backbone="coconut", latent_length=2)


def test_a_low_rank_update_of_another_base_names_both(codi, colar, base, llama):
    for path, other in ((codi, llama), (colar, base)):
        with pytest.raises(ModelError) as caught:
            load(path, base=str(other), lora_alpha=8)
        assert repr(str(path)) in str(caught.value)
        assert repr(str(other)) in str(caught.value)


def test_weights_of_a_training_that_diverged(coconut, base, tmp_path):
    def change(tensors):
        tensors.update({name: torch.full_like(each, torch.nan) for name, each in tensors.items()})

    with pytest.raises(ModelError, match=r"no finite numbers, .*: base_causallm.*Take an earlier"):
        load(edit(coconut, tmp_path, change), base=str(base), latent_length=4)


@pytest.mark.parametrize("value", [float("inf"), float("nan"), 0, -1, True])
def test_a_scale_that_is_no_finite_number(value):
    for name in ("lora_alpha", "embeds_std"):
        with pytest.raises(ModelError, match=f"{name}=.*; allowed is a finite number above 0"):
            SourceOptions(**{name: value})


class Bomb:
    """Runs a call when it is unpickled by a reader that executes what a file names."""

    def __init__(self, call, *args):
        self.call = (call, args)

    def __reduce__(self):
        return self.call


def hostile(path, calls):
    """Write files that torch.save might have written, with calls among the tensors."""
    tensors = {"base_causallm.a": torch.ones(2), **calls}
    torch.save(tensors, path / "zip.ckpt")
    torch.save(tensors, path / "legacy.ckpt", _use_new_zipfile_serialization=False)
    (path / "plain.ckpt").write_bytes(pickle.dumps(calls))
    with zipfile.ZipFile(path / "zip.bin", "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(calls))
    return [path / name for name in ("zip.ckpt", "legacy.ckpt", "plain.ckpt", "zip.bin")]


@pytest.mark.parametrize("where", ["value", "settings"])
def test_hostile_pickles_run_nothing(tmp_path, base, where):
    seen = tmp_path / "seen"
    for number, (call, *args) in enumerate(
        [
            (os.system, f"touch {seen}"),
            (subprocess.getoutput, f"touch {seen}"),
            (builtins.eval, f"open({str(seen)!r}, 'w')"),
            (builtins.getattr, "x", "upper"),
            (torch.load, str(seen)),
        ]
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        bomb = Bomb(call, *args)
        calls = {"x": bomb} if where == "value" else {"hyper_parameters": {"lora_alpha": bomb}}
        for path in hostile(folder, calls):
            with pytest.raises(ModelError):
                load(path, base=str(base), latent_length=4)
            assert not seen.exists(), (call, path)


def test_hostile_files_beside_a_checkpoint_run_nothing(adapter, colar, llama, tmp_path):
    """A base's weights, an adapter's, a gate's, and the settings of a Lightning run."""
    seen = tmp_path / "seen"
    bomb = {"x": Bomb(os.system, f"touch {seen}")}
    folder, base = adapter
    for name in ("pytorch_model.bin", "stop_gate.pt", "extra.pt"):
        copy = shutil.copytree(base, tmp_path / name)
        if name == "pytorch_model.bin":
            (copy / "model.safetensors").unlink()
        torch.save(bomb, copy / name)
        with pytest.raises(ModelError):
            load(copy, backbone="coconut", latent_length=2)
        with pytest.raises(ModelError):
            load(folder, base=str(copy), backbone="coconut", latent_length=2)
    copy = shutil.copytree(folder, tmp_path / "adapter")
    (copy / "adapter_model.safetensors").unlink()
    torch.save(bomb, copy / "adapter_model.bin")
    with pytest.raises(ModelError):
        load(copy, base=str(base), backbone="coconut", latent_length=2)
    copy = shutil.copytree(llama, tmp_path / "llama")
    (copy / "model.safetensors").unlink()
    torch.save(bomb, copy / "pytorch_model.bin")
    with pytest.raises(ModelError, match="has no readable weights"):
        load(colar, base=str(copy))
    run = tmp_path / "run" / "checkpoints"
    run.mkdir(parents=True)
    torch.save({"state_dict": torch.load(colar, weights_only=False)["state_dict"]}, run / "a.ckpt")
    (run.parent / "hparams.yaml").write_text(f"!!python/object/apply:os.system ['touch {seen}']")
    with pytest.raises(ModelError, match=r"give lora_alpha="):
        load(run.parent, base=str(llama))
    assert not seen.exists()

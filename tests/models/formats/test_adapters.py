"""Adapters that add tokens, and adapters over latent reasoners, against plain peft."""

import json
import shutil

import pytest
import torch
from click.testing import CliRunner
from peft import LoraConfig, PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from latent_tts.harness.commands.convert import convert
from latent_tts.harness.provenance import checkpoint_record
from latent_tts.models import AutoLatentModel, ModelError
from latent_tts.models.formats import SourceOptions
from latent_tts.models.merge import quiet
from tests.marks import slow_but
from tests.models.formats.written import adapt, write_base

MARKERS = ["<|start-latent|>", "<|end-latent|>", "<|latent|>"]
TARGETS = {"GPT2": "c_attn", "Llama": "q_proj"}
EMBEDDING = {"GPT2": "wte", "Llama": "embed_tokens"}
CASES = [
    (trunk, tied, how)
    for trunk in TARGETS
    for tied in (True, False)
    for how in ("saved", "modules_to_save", "trainable_token_indices", "adapted")
]


def write(folder, base, trunk, how):
    """Write an adapter that has three tokens more than its base, and return its logits."""
    tokenizer = AutoTokenizer.from_pretrained(base)
    model = AutoModelForCausalLM.from_pretrained(base)
    first = len(tokenizer)
    tokenizer.add_tokens(MARKERS)
    model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    more, targets = {}, [TARGETS[trunk]]
    if how == "modules_to_save":
        more = {how: [EMBEDDING[trunk], "lm_head"]}
    elif how == "trainable_token_indices":
        more = {how: list(range(first, first + 3))}
    elif how == "adapted":
        targets.append(EMBEDDING[trunk])
    rows = {"fan_in_fan_out": trunk == "GPT2"}
    with quiet():
        adapted = adapt(model, LoraConfig(r=3, target_modules=targets, **rows, **more))
        torch.manual_seed(3)
        for weight in adapted.parameters():
            if weight.requires_grad:
                torch.nn.init.normal_(weight, std=0.1)
        adapted.save_pretrained(folder, save_embedding_layers=how == "saved" or "auto")
    tokenizer.save_pretrained(folder)
    with torch.no_grad():
        return adapted(torch.tensor([[1, 70, first, 9]])).logits


@pytest.mark.parametrize(
    ("trunk", "tied", "how"), slow_but(CASES, ("GPT2", True, "saved"), ("Llama", False, "adapted"))
)
@pytest.mark.filterwarnings("ignore:.*(tie_word|embedding layer|Could not find):UserWarning")
def test_an_adapter_with_tokens_of_its_own(tmp_path, trunk, tied, how):
    base = write_base(tmp_path / "base", trunk, bos=False, tie_word_embeddings=tied)
    wanted = write(tmp_path / "adapter", base, trunk, how)
    options = SourceOptions(backbone="coconut", latent_length=2)
    model = AutoLatentModel.from_pretrained(tmp_path / "adapter", source=options)
    first = len(model.tokenizer) - 3
    with torch.no_grad():
        found = model(torch.tensor([[1, 70, first, 9]])).logits
    saved = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    if not tied and not any("lm_head" in name for name in saved):  # its new rows are nowhere
        found, wanted = found[..., :first], wanted[..., :first]
        assert {first, first + 1, first + 2} <= set(model.latent_tokens.forbidden)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=2e-5)
    assert model.latent_tokens.end == first + 1
    if how == "saved":  # and as peft itself merges
        plain = AutoModelForCausalLM.from_pretrained(base)
        plain.resize_token_embeddings(first + 3, mean_resizing=False)
        with quiet():
            merged = PeftModel.from_pretrained(plain, tmp_path / "adapter").merge_and_unload()
        for name, weight in merged.state_dict().items():
            torch.testing.assert_close(model.state_dict()[name], weight, rtol=0, atol=1e-6)
    given = ["--backbone=coconut", "--latent-length=2", f"--output={tmp_path / 'out'}"]
    done = CliRunner().invoke(convert, [str(tmp_path / "adapter"), *given])
    assert not done.exception, done.exception
    card = (tmp_path / "out" / "README.md").read_text()
    for fact in ("method: coconut", "thoughts: 2", f"`<|end-latent|>` (id {first + 1})", "merged"):
        assert fact in card
    again = AutoLatentModel.from_pretrained(tmp_path / "out")
    assert again.latent_tokens == model.latent_tokens
    for name, weight in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], weight), name


def change(folder, edit):
    tensors = load_file(folder / "adapter_model.safetensors")
    edit(tensors)
    save_file(tensors, folder / "adapter_model.safetensors")


@pytest.mark.filterwarnings("ignore:.*(embedding layer|Could not find):UserWarning")
def test_tokens_whose_rows_are_in_no_file(tmp_path):
    base = write_base(tmp_path / "base", "GPT2", bos=False)
    folder = tmp_path / "adapter"
    write(folder, base, "GPT2", "saved")
    options = SourceOptions(backbone="coconut", latent_length=2)

    def forget(tensors):
        for name in [name for name in tensors if "lora" not in name]:
            del tensors[name]

    change(folder, forget)
    with pytest.raises(ModelError, match=r"has tokens, such as '<.start-latent.>', .*260 rows"):
        AutoLatentModel.from_pretrained(folder, source=options)
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokens = tokenizer["model"]["vocab"]
    tokens["a"], tokens["b"] = tokens["b"], tokens["a"]
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(ModelError, match=r"gives '[ab]' the id .*is of another checkpoint"):
        AutoLatentModel.from_pretrained(folder, source=options)


def over(folder, base, targets):
    """Write an adapter of a latent reasoner, and return its weights as peft merges them."""
    model = AutoLatentModel.from_pretrained(base)
    gpt2 = model.config.model_type == "gpt2"
    with quiet():
        adapted = adapt(model, LoraConfig(r=5, target_modules=targets, fan_in_fan_out=gpt2))
        torch.manual_seed(3)
        for weight in adapted.parameters():
            if weight.requires_grad:
                torch.nn.init.normal_(weight, std=0.1)
        adapted.peft_config["default"].base_model_name_or_path = str(base)
        adapted.save_pretrained(folder)
        plain = AutoLatentModel.from_pretrained(base)
        return PeftModel.from_pretrained(plain, folder).merge_and_unload().state_dict()


LATENT = [
    ("coconut", ["c_attn"]),
    ("codi", ["c_attn", "projector.1"]),
    ("colar", ["q_proj", "lt_head.mean"]),
]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "targets"), LATENT)
def test_an_adapter_over_a_latent_reasoner(checkpoints, tmp_path, kind, targets):
    base, folder = checkpoints[kind], tmp_path / "adapter"
    merged = over(folder, base, targets)
    alone = AutoLatentModel.from_pretrained(folder)
    beside = AutoLatentModel.from_pretrained(base, adapter=folder)
    plain = AutoLatentModel.from_pretrained(base)
    for model in (alone, beside):
        assert model.backbone == kind
        assert model.settings() == plain.settings()
        for name, weight in model.state_dict().items():
            assert torch.equal(merged[name], weight), name
    for path, given in ((folder, {}), (base, {"adapter": folder})):  # rounded once, at the end
        half = AutoLatentModel.from_pretrained(path, dtype="bfloat16", **given)
        for name, weight in half.state_dict().items():
            assert torch.equal(merged[name].bfloat16(), weight), name
    done = CliRunner().invoke(
        convert, [str(base), f"--adapter={folder}", f"--output={tmp_path / 'out'}"]
    )
    assert not done.exception, done.exception
    again = AutoLatentModel.from_pretrained(tmp_path / "out")
    assert all(torch.equal(again.state_dict()[name], weight) for name, weight in merged.items())
    records = [
        checkpoint_record(model, str(path), "main")
        for model, path in ((alone, folder), (beside, base), (plain, base))
    ]
    assert records[0]["weights_sha256"] == records[1]["adapter_sha256"]
    assert records[0]["base_sha256"] == records[1]["weights_sha256"] == records[2]["weights_sha256"]
    assert (records[0]["base"], records[1]["adapter"]) == (str(base), str(folder))


def test_adapters_that_do_not_fit(checkpoints, tmp_path):
    base, folder = checkpoints["coconut"], tmp_path / "adapter"
    over(folder, base, ["c_attn"])
    with pytest.raises(ModelError, match=r"backbone='codi', but .* is coconut"):
        AutoLatentModel.from_pretrained(folder, backbone="codi")
    with pytest.raises(ModelError, match=r"lora_alpha=4 has no meaning .*adapter_config.json says"):
        AutoLatentModel.from_pretrained(folder, source=SourceOptions(lora_alpha=4))
    with pytest.raises(ModelError, match=r"thinking_speed='2' says of files .*is a coconut"):
        AutoLatentModel.from_pretrained(folder, source=SourceOptions(thinking_speed=2))
    other = SourceOptions(base=str(checkpoints["colar"]))
    with pytest.raises(ModelError, match=r"(?s)do not fit .*colar.*Target modules"):
        AutoLatentModel.from_pretrained(folder, source=other)
    for edit, message in [
        (lambda tensors: tensors.pop(min(tensors)), r"do not fit .*lora_A.weight\. Give"),
        (lambda tensors: tensors.update(x=torch.ones(2)), r"do not fit .*: x\. Give the adapter"),
        (
            lambda tensors: tensors.update({min(tensors): tensors[min(tensors)] * torch.nan}),
            r"no finite numbers.*lora_A",
        ),
    ]:
        changed = shutil.copytree(folder, tmp_path / "changed", dirs_exist_ok=True)
        change(changed, edit)
        with pytest.raises(ModelError, match=message):
            AutoLatentModel.from_pretrained(base, adapter=changed)

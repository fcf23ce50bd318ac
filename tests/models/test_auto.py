"""Loading released checkpoints, and every way in which loading or a prompt can be wrong."""

import json
import re
import shutil

import pytest
import torch
import transformers
from safetensors.torch import load_file

from latent_tts.models import (
    AutoLatentModel,
    LatentGenerationConfig,
    ModelError,
    load_tokenizer,
    names,
)
from latent_tts.models.backbones.tokens import LatentTokens
from tests.checkpoints import edit_config, edit_weights
from tests.marks import slow_but


@pytest.fixture
def copy(checkpoints, tmp_path):
    """Copy a checkpoint, to be changed."""

    def make(kind):
        return shutil.copytree(checkpoints[kind], tmp_path / kind)

    return make


def without_tokenizer(folder):
    for path in folder.glob("*token*"):
        path.unlink()
    return folder


@pytest.mark.parametrize("backbone", ["coconut", "codi", "colar"], indirect=True)
def test_the_backbone_is_found_by_the_architecture(backbone):
    model = backbone.model
    assert model.backbone == backbone.kind
    config = json.loads((backbone.folder / "config.json").read_text())
    assert [type(model).__name__] == config["architectures"]
    assert not model.training
    assert model.dtype == torch.float32


@pytest.mark.parametrize("backbone", ["coconut", "codi", "colar"], indirect=True)
def test_every_weight_of_the_file_is_used_and_none_is_made_up(backbone):
    stored = load_file(backbone.folder / "model.safetensors")
    loaded = backbone.model.state_dict()
    assert {name for name in loaded if name not in stored} <= {"lm_head.weight"}  # tied
    for name, tensor in stored.items():
        assert torch.equal(loaded[name], tensor), name


def test_released_names_of_the_heads(backbones):
    names = {
        kind: {
            name.rpartition(".")[0]
            for name in backbone.model.state_dict()
            if name.startswith(("projector", "lt_head"))
        }
        for kind, backbone in backbones.items()
    }
    assert names == {
        "coconut": set(),
        "codi": {"projector.1", "projector.3", "projector.4"},
        "colar": {"lt_head.fc.0", "lt_head.fc.2", "lt_head.fc.3", "lt_head.mean"},
    }


def test_latent_tokens_come_from_the_tokenizer_not_the_config(backbones):
    coconut, colar = backbones["coconut"], backbones["colar"]
    assert coconut.model.config.latent_id == -100
    ids = coconut.tokenizer.convert_tokens_to_ids
    assert coconut.model.latent_tokens == LatentTokens(
        end=ids("<|end-latent|>"),
        placeholder=ids("<|latent|>"),
        eos=(coconut.tokenizer.eos_token_id,),
        pad=coconut.tokenizer.eos_token_id,
    )
    eos = colar.tokenizer.eos_token_id
    end = colar.tokenizer.convert_tokens_to_ids("###")
    assert colar.model.latent_tokens == LatentTokens(end=end, placeholder=eos, eos=(eos,), pad=eos)


def test_a_special_latent_token_is_as_good(copy, backbones):
    folder = copy("coconut")
    tokenizer = load_tokenizer(str(folder))
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|latent|>", "<|end-latent|>"]})
    tokenizer.save_pretrained(folder)
    model = AutoLatentModel.from_pretrained(folder)
    assert model.latent_tokens == backbones["coconut"].model.latent_tokens


def test_without_a_tokenizer_the_config_names_the_tokens(copy):
    folder = without_tokenizer(copy("codi"))
    ids = {"latent_id": 259, "latent_start_id": 260, "latent_end_id": 261}
    tokens = AutoLatentModel.from_pretrained(edit_config(folder, **ids)).latent_tokens
    assert (tokens.placeholder, tokens.end) == (259, 261)


def test_several_end_of_sequence_tokens_and_a_pad_token(copy):
    folder = edit_config(copy("coconut"), eos_token_id=[258, 7], pad_token_id=9)
    config = folder / "generation_config.json"
    config.write_text(json.dumps({"eos_token_id": [258, 7]}))
    tokens = AutoLatentModel.from_pretrained(folder).latent_tokens
    assert tokens.eos == (258, 7)
    assert tokens.pad == 9


def test_answers_end_at_any_end_of_sequence_token(copy, backbones):
    coconut = backbones["coconut"]
    prompts = coconut.prompts(6)
    plain = coconut.generate(prompts, latent_do_sample=False, max_new_tokens=24)
    width = max(map(len, prompts))
    row = int(plain.answer_lengths.argmax())
    extra = int(plain.sequences[row, width + 9])
    folder = copy("coconut")
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [258, extra]}))
    model = AutoLatentModel.from_pretrained(folder)
    ids = torch.tensor([prompts[row]])
    output = model.generate(
        ids, latent_do_sample=False, max_new_tokens=24, return_dict_in_generate=True
    )
    assert not output.truncated.item()
    assert int(output.sequences[0, -1]) == extra
    assert output.answer_lengths.item() <= 3


def test_a_checkpoint_without_eos_names_the_tokenizers(copy):
    folder = edit_config(copy("coconut"), eos_token_id=None)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"eos_token_id": None}))
    (folder / "generation_config.json").write_text("{}")
    assert AutoLatentModel.from_pretrained(folder).latent_tokens.eos == (258,)
    without_tokenizer(folder)
    with pytest.raises(ModelError, match="names no end-of-sequence token, so no answer could end"):
        AutoLatentModel.from_pretrained(folder)


def test_an_unknown_architecture_is_refused_and_backbone_helps(copy, backbones):
    folder = edit_config(copy("coconut"), architectures=["GPT2LMHeadModel"])
    message = (
        r"has architectures \['GPT2LMHeadModel'\], none of them a latent reasoner known here: "
        r"COCONUTGPT2 \(coconut\), CODIGPT2 \(codi\), ColarGPT2 \(colar\), .*say so with backbone="
    )
    with pytest.raises(ModelError, match=message):
        AutoLatentModel.from_pretrained(folder)
    model = AutoLatentModel.from_pretrained(folder, backbone="coconut")
    coconut = backbones["coconut"]
    prompt = torch.tensor(coconut.prompts(1))
    assert torch.equal(model.generate(prompt), coconut.model.generate(prompt))


def test_a_config_without_architectures_is_refused(copy):
    folder = edit_config(copy("coconut"), architectures=None)
    with pytest.raises(ModelError, match=r"has architectures \[\]"):
        AutoLatentModel.from_pretrained(folder)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "cocont",
            "No backbone is called 'cocont'. Did you mean coconut? Allowed are: coconut, codi, "
            "colar, explicit, latent_sft, rot, soft_thinking.",
        ),
        ("turn", "No backbone is called 'turn'. Allowed are: coconut, codi, colar, explicit, "),
        ("colar", "says that it is coconut: its architectures are ['COCONUTGPT2']. Leave backbone"),
    ],
)
def test_a_wrong_backbone_is_refused(checkpoints, name, message):
    with pytest.raises(ModelError, match=re.escape(message)):
        AutoLatentModel.from_pretrained(checkpoints["coconut"], backbone=name)


def test_what_is_no_causal_language_model_is_refused(tmp_path):
    transformers.T5Config().save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="is a t5 model, which transformers knows as no causal"):
        AutoLatentModel.from_pretrained(tmp_path, backbone="coconut")


def test_weights_that_a_backbone_needs_are_not_made_up(checkpoints, copy):
    folder = edit_config(copy("coconut"), architectures=["GPT2LMHeadModel"])
    message = r"lacks weights that its config\.json calls for: lt_head\.fc\.0\.bias.* and 5 more"
    with pytest.raises(ModelError, match=message):
        AutoLatentModel.from_pretrained(folder, backbone="colar")


@pytest.mark.parametrize("name", ["nowhere", "./nowhere", "/nowhere/at/all", "a/b/c", "~/nowhere"])
def test_a_missing_folder_is_refused(name):
    message = re.escape(f"No checkpoint at {name!r}.") + ".*Give a folder with config.json, a hub"
    with pytest.raises(ModelError, match=message):
        AutoLatentModel.from_pretrained(name)


def test_a_shipped_checkpoint_is_found_by_its_name(copy, monkeypatch):
    folder = copy("coconut")
    shipped = folder.rename(folder.with_name("tiny-test"))
    monkeypatch.setattr(names, "SHIPPED", shipped.parent)
    assert names.resolve_checkpoint("tiny-test") == str(shipped)
    assert AutoLatentModel.from_pretrained("tiny-test").backbone == "coconut"
    assert load_tokenizer("tiny-test").padding_side == "left"
    message = r"No checkpoint at 'tinytest'. Did you mean tiny-test\?.* one that ships: tiny-test\."
    with pytest.raises(ModelError, match=message):
        AutoLatentModel.from_pretrained("tinytest")


def test_a_hub_id_is_left_to_transformers():
    assert names.resolve_checkpoint("owner/name") == "owner/name"
    message = (
        r"The config of the checkpoint 'owner/no-such-name' \(revision 'v1'\) cannot be loaded"
    )
    with pytest.raises(ModelError, match=message):
        AutoLatentModel.from_pretrained("owner/no-such-name", revision="v1")


def test_a_folder_without_a_config_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r"in no known layout: it holds no file of weights"):
        AutoLatentModel.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (
            "coconut",
            r"\(revision 'main'\) has no tokenizer. Put its tokenizer.json beside its conf",
        ),
        ("colar", "The tokenizer of the checkpoint .* cannot be loaded"),
    ],
)
def test_a_tokenizer_is_asked_for_where_it_is_needed(copy, kind, message):
    folder = str(without_tokenizer(copy(kind)))
    with pytest.raises(ModelError, match=message):
        load_tokenizer(folder)
    assert load_tokenizer(folder, missing_ok=True) is None


@pytest.mark.parametrize("dtype", ["float33", "int8", "Tensor"])
def test_a_wrong_dtype_is_refused(checkpoints, dtype):
    message = f"dtype='{dtype}'; allowed are auto, float32, bfloat16 and float16."
    with pytest.raises(ModelError, match=message):
        AutoLatentModel.from_pretrained(checkpoints["coconut"], dtype=dtype)


@pytest.mark.parametrize("tokenizer", [True, False])
def test_a_checkpoint_without_latent_tokens_is_refused(copy, tokenizer):
    folder = edit_config(copy("colar"), architectures=["ColarLlama"])
    if tokenizer:  # '###' in three tokens
        path = folder / "tokenizer.json"
        content = json.loads(path.read_text())
        content["model"]["merges"] = []
        path.write_text(json.dumps(content))
    else:
        without_tokenizer(folder)
    why = (
        "'###' is no single token of its tokenizer"
        if tokenizer
        else "it has no tokenizer, and latent_end_id in its config.json is no token id"
    )
    message = rf"has no latent tokens: {why}\. A colar checkpoint needs '###'"
    with pytest.raises(ModelError, match=message):
        AutoLatentModel.from_pretrained(folder)


def test_a_checkpoint_without_a_start_marker_is_refused(copy):
    folder = edit_config(without_tokenizer(copy("coconut")), latent_end_id=261)
    message = r"has no tokenizer, and latent_start_id in .* checkpoint needs '<\|start-latent\|>'"
    with pytest.raises(ModelError, match=message):
        AutoLatentModel.from_pretrained(folder)


def test_a_tokenizer_of_another_model_is_refused(copy):
    folder = copy("coconut")

    def cut(tensors):
        tensors["transformer.wte.weight"] = tensors["transformer.wte.weight"][:-2].clone()

    size = json.loads((folder / "config.json").read_text())["vocab_size"]
    edit_config(edit_weights(folder, cut), vocab_size=size - 2)
    message = f"has id {size - 2}, but the checkpoint .* has only {size - 2} embeddings: its token"
    with pytest.raises(ModelError, match=message):
        AutoLatentModel.from_pretrained(folder)


def test_the_class_is_not_to_be_instantiated():
    with pytest.raises(TypeError, match=r"AutoLatentModel\.from_pretrained"):
        AutoLatentModel()


@pytest.mark.parametrize("half", slow_but([torch.float16, torch.bfloat16], torch.bfloat16))
def test_a_half_precision_checkpoint_is_float32_on_a_cpu(backbone, tmp_path, half):
    model = AutoLatentModel.from_pretrained(backbone.folder, dtype=half)
    assert model.dtype == half
    model.save_pretrained(tmp_path)
    backbone.tokenizer.save_pretrained(tmp_path)
    assert load_file(tmp_path / "model.safetensors").popitem()[1].dtype == half
    for dtype in (None, "auto"):
        assert AutoLatentModel.from_pretrained(tmp_path, dtype=dtype).dtype == torch.float32
    assert AutoLatentModel.from_pretrained(tmp_path, dtype="bfloat16").dtype == torch.bfloat16
    assert AutoLatentModel.from_pretrained(tmp_path, dtype="torch.float16").dtype == torch.float16


def test_bfloat16_generates(backbone):
    model = AutoLatentModel.from_pretrained(backbone.folder, dtype="bfloat16")
    prompt = torch.tensor(backbone.prompts(1))
    output = model.generate(
        prompt, num_return_sequences=3, max_new_tokens=70, return_dict_in_generate=True
    )
    assert output.latent_thoughts.dtype == torch.bfloat16
    assert len(output.sequences) == 3


def test_device_map_cpu(backbone):
    model = AutoLatentModel.from_pretrained(backbone.folder, device_map="cpu")
    assert model.device == torch.device("cpu")
    assert model.dtype == torch.float32
    prompt = torch.tensor(backbone.prompts(1))
    assert torch.equal(model.generate(prompt), backbone.model.generate(prompt))


def test_weights_on_several_devices_are_refused(backbones, tmp_path):
    places = dict.fromkeys(["transformer.wte", "transformer.wpe", "transformer.ln_f"], "cpu")
    places |= {"transformer.h": "disk", "lm_head": "cpu"}
    with pytest.raises(ModelError, match="puts the weights on cpu and meta; the engine reads on"):
        AutoLatentModel.from_pretrained(
            backbones["coconut"].folder, device_map=places, offload_folder=tmp_path
        )


@pytest.mark.parametrize("backbone", slow_but(["coconut", "codi", "colar"], "codi"), indirect=True)
def test_saving_keeps_the_released_format(backbone, tmp_path):
    backbone.model.save_pretrained(tmp_path)
    backbone.tokenizer.save_pretrained(tmp_path)
    names = [set(load_file(at / "model.safetensors")) for at in (tmp_path, backbone.folder)]
    assert names[0] == names[1]
    saved, released = (
        json.loads((at / "config.json").read_text()) for at in (tmp_path, backbone.folder)
    )
    assert saved["architectures"] == released["architectures"]
    for key in ("latent_id", "projector", "projector_hidden_size", "latent_embedding_std"):
        assert saved.get(key) == released.get(key)
    again = AutoLatentModel.from_pretrained(tmp_path)
    settings = {"num_return_sequences": 2, "max_new_tokens": 70, "return_dict_in_generate": True}
    prompt = torch.tensor(backbone.prompts(1))
    first, second = (model.generate(prompt, **settings) for model in (backbone.model, again))
    for name in first:
        assert torch.equal(first[name], second[name])


def test_a_checkpoints_generation_config_is_honoured(copy, backbones):
    folder = copy("coconut")
    LatentGenerationConfig(
        eos_token_id=258, latent_length=2, latent_do_sample_by="noise", noise_std=0.25, seed=3
    ).save_pretrained(folder)
    model = AutoLatentModel.from_pretrained(folder)
    assert model.settings() == backbones["coconut"].model.settings(
        latent_length=2, latent_do_sample_by="noise", noise_std=0.25, seed=3
    )


def test_a_checkpoints_own_number_of_samples_with_greedy_answers(copy):
    """transformers' own class refuses the two together."""
    folder = copy("coconut")
    LatentGenerationConfig(eos_token_id=258, num_return_sequences=5).save_pretrained(folder)
    model = AutoLatentModel.from_pretrained(folder)
    prompt = torch.arange(10)[None]
    assert len(model.generate(prompt)) == 5
    assert len(model.generate(prompt, latent_do_sample=False)) == 1
    model.save_pretrained(folder / "again")
    load_tokenizer(str(folder)).save_pretrained(folder / "again")
    assert AutoLatentModel.from_pretrained(folder / "again").settings() == model.settings()


def test_a_checkpoint_needs_no_generation_config(copy, backbones):
    folder = copy("coconut")
    (folder / "generation_config.json").unlink()
    model = AutoLatentModel.from_pretrained(folder)
    assert model.settings() == backbones["coconut"].model.settings()
    assert model.latent_tokens == backbones["coconut"].model.latent_tokens


def test_an_unusable_generation_config_is_refused(copy):
    folder = copy("coconut")
    (folder / "generation_config.json").write_text(json.dumps({"max_new_tokens": -1}))
    message = r"The generation_config\.json of the checkpoint .* cannot be used: .*max_new_tokens"
    with pytest.raises(ModelError, match=message):
        AutoLatentModel.from_pretrained(folder)


@pytest.mark.parametrize("content", [None, b"", b"not safetensors at all"])
def test_missing_or_broken_weights_are_refused(copy, content):
    folder = copy("coconut")
    (folder / "model.safetensors").unlink()
    if content is not None:
        (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(ModelError, match=r"The weights of .* cannot be loaded|cannot be read as"):
        AutoLatentModel.from_pretrained(folder)


def test_codi_without_a_projector_thinks_its_hidden_state(copy):
    folder = copy("codi")

    def drop(tensors):
        for name in [name for name in tensors if name.startswith("projector")]:
            del tensors[name]

    model = AutoLatentModel.from_pretrained(
        edit_config(edit_weights(folder, drop), projector=False)
    )
    hidden = torch.ones(2, 48)
    assert model.next_thought(hidden) is hidden


PROMPT = torch.arange(20, 30)[None]
RIGHT = torch.tensor([[1] * 9 + [0]])
BAD_PROMPTS = [
    ({"input_ids": None}, r"generate\(\) needs input_ids, a tensor i64"),
    ({"input_ids": PROMPT[0]}, r"input_ids of shape \(10,\) with attention_mask of shape \(10,\)"),
    ({"input_ids": PROMPT, "attention_mask": RIGHT[:, 1:]}, r"of shape \(1, 9\); both must be \["),
    (
        {"input_ids": PROMPT, "attention_mask": RIGHT},
        "Every prompt must end with an attended token",
    ),
    ({"input_ids": PROMPT, "attention_mask": RIGHT * 0}, "pad on the left"),
    ({"input_ids": PROMPT[:, :0]}, "give at least one token per prompt"),
    ({"input_ids": PROMPT[:0]}, "give at least one token per prompt"),
    (
        {"input_ids": PROMPT.repeat(1, 19)},
        "A prompt of 190 tokens with 6 thoughts, the end marker "
        "and an answer needs 198 positions; .* has 192. Shorten the question",
    ),
]


@pytest.mark.parametrize(("inputs", "message"), BAD_PROMPTS, ids=[text for _, text in BAD_PROMPTS])
def test_an_unusable_prompt_is_refused(backbones, inputs, message):
    with pytest.raises(ModelError, match=message):
        backbones["coconut"].model.generate(**inputs)


def test_the_longest_prompt_fits(backbones):
    model = backbones["coconut"].model
    longest = torch.arange(184)[None]
    assert model.generate(longest).shape == (1, 192)
    with pytest.raises(ModelError, match="A prompt of 185 tokens"):
        model.generate(torch.arange(185)[None])


def test_padding_does_not_count_as_a_prompts_length(backbones):
    prompt = torch.arange(300)[None] % 256
    mask = (torch.arange(300) >= 290).long()[None]
    assert backbones["coconut"].model.generate(prompt, mask).shape[0] == 1


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["transformer.h.1.mlp.c_fc.bias", "transformer.wte.weight"])
def test_weights_that_are_no_finite_numbers_are_refused(copy, name, value):
    def spoil(tensors):
        tensors[name][3] = value

    message = rf"no finite numbers, .*diverged: {re.escape(name)}\. Take an earlier"
    with pytest.raises(ModelError, match=message):
        AutoLatentModel.from_pretrained(edit_weights(copy("coconut"), spoil))


def test_weights_of_eight_bits_are_refused(copy):
    def round_off(tensors):
        name = "projector.1.weight"
        tensors[name] = (tensors[name] * 100).to(torch.int8)

    with pytest.raises(ModelError, match=r"with a fraction: projector.1.weight \(I8\)\. Numbers"):
        AutoLatentModel.from_pretrained(edit_weights(copy("codi"), round_off))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("transformer.ln_f.weight", float("nan"), "2 of 2 rows have hidden states that are NaN"),
        ("transformer.wpe.weight", float("inf"), "2 of 2 rows have hidden states that are NaN"),
        (
            "transformer.wte.weight",
            float("nan"),
            "4 of 4 rows have logits that are NaN or infinite",
        ),
    ],
)
def test_broken_weights_are_an_error_not_an_answer(copy, backbones, name, value, message):
    model = AutoLatentModel.from_pretrained(copy("coconut"))
    with torch.no_grad():  # an embedding that no prompt holds spoils the logits alone
        dict(model.named_parameters())[name][5 if "wte" in name else slice(None)] = value
    prompts = torch.tensor([backbones["coconut"].prompts(1)[0]] * 2)
    assert not (prompts == 5).any()
    with pytest.raises(ModelError, match=message + ".*precision .torch.float32.* dtype=float32"):
        model.generate(
            prompts, num_return_sequences=2, latent_do_sample_by="noise", max_new_tokens=12
        )


def test_names_of_shipped_checkpoints_are_whole_names(backbones, monkeypatch):
    monkeypatch.chdir(backbones["coconut"].folder)
    assert names.resolve_checkpoint(".") == "."
    assert names.resolve_checkpoint("..") == ".."
    assert names.resolve_checkpoint("tiny-coconut").endswith("tiny-coconut")
    assert load_tokenizer(backbones["coconut"].folder).padding_side == "left"

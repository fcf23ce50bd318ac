"""A model either samples as its own forward says, or is refused before it samples."""

import pytest
import torch
import transformers

from latent_tts.models import LatentBackbone, ModelError, latent_class
from latent_tts.models.backbones.tokens import LatentTokens
from latent_tts.models.engine.positions import position_limit
from latent_tts.models.engine.trial import check_model

SIZES = {
    "vocab_size": 61,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "initializer_range": 0.3,
    "bos_token_id": None,
    "eos_token_id": None,
    "pad_token_id": None,
}
LONG = {
    "rope_type": "longrope",
    "rope_theta": 1e4,
    "short_factor": [1.0] * 4,
    "long_factor": [3.0, 2.0, 4.0, 5.0],
    "original_max_position_embeddings": 24,
    "factor": 64 / 24,
}


def made(name, **changed):
    """A latent reasoner with random weights on one of transformers' causal language models."""
    torch.manual_seed(0)
    base = getattr(transformers, name)
    config = base.config_class(**SIZES | changed)
    defaults = {"latent_length": 3, "noise_std": 0.3, "dropout_site": "feed_forward"}
    names = {
        "latent_defaults": defaults,
        "dropout_modules": {"feed_forward": ("mlp",)},
        "backbone": "x",
    }
    method = type("Backbone", (LatentBackbone,), names)
    model = latent_class(method, base)(config).eval()
    model.latent_tokens = LatentTokens(1, 2, eos=(), pad=0)
    return model


@pytest.mark.parametrize(
    "name",
    ["LlamaForCausalLM", "Qwen3ForCausalLM", "GPTNeoXForCausalLM", "Phi3ForCausalLM"],
)
def test_usual_models_pass(name):
    check_model(made(name))


@pytest.mark.parametrize(
    ("name", "changed", "message"),
    [
        ("DiffLlamaForCausalLM", {}, "other hidden states than Backbone.*'s own forward"),
        ("CohereForCausalLM", {"logit_scale": 0.1}, "other logits than Backbone.*'s own forward"),
        ("GraniteForCausalLM", {"logits_scaling": 8.0}, "other logits than"),
        ("BertLMHeadModel", {"is_decoder": True}, "other logits than"),
        ("NemotronForCausalLM", {}, "cannot be read by the engine"),
        ("BloomForCausalLM", {}, "does not attend by transformers' attention interface"),
        ("GPTJForCausalLM", {"rotary_dim": 4}, "does not attend by transformers' attention"),
    ],
)
def test_models_that_read_otherwise_are_refused(name, changed, message):
    model = made(name, **changed)
    for _ in range(2):  # not only at the first attempt
        with pytest.raises(ModelError, match=message):
            model.generate(torch.tensor([[3, 4, 5]]), max_new_tokens=8)


def test_a_model_is_tried_once(monkeypatch):
    model, passes = made("LlamaForCausalLM"), []
    model.base_model.register_forward_hook(lambda *args: passes.append(1))
    settings = {"max_new_tokens": 8, "latent_do_sample": False}
    first, _, third = (
        (model.generate(torch.tensor([[3, 4, 5]]), **settings), len(passes)) for _ in range(3)
    )
    assert torch.equal(first[0], third[0])
    once = third[1] / 3
    assert first[1] > once


def test_a_row_depends_on_no_longer_row_under_longrope():
    model = made("LlamaForCausalLM", rope_parameters=LONG)
    assert position_limit(model) == 24
    short, long = torch.tensor([[3, 4, 5]]), torch.randint(3, 60, (1, 15))
    settings = {"max_new_tokens": 40, "latent_do_sample": False, "return_dict_in_generate": True}
    alone = model.generate(short, **settings)
    padded = torch.cat((short.new_zeros(1, 12), short), dim=1)
    mask = torch.ones(2, 15, dtype=torch.long)
    mask[0, :12] = 0
    beside = model.generate(torch.cat((padded, long)), mask, **settings)
    torch.testing.assert_close(beside.latent_thoughts[:1], alone.latent_thoughts)
    count = int(alone.answer_lengths)
    assert beside.answer_ids()[0] == alone.answer_ids()[0]
    assert count == 24 - 3 - 3 - 1
    with pytest.raises(ModelError, match=r"needs 26 positions; .* has 24"):
        model.generate(torch.randint(3, 60, (1, 21)), **settings)

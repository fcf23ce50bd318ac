"""Every backbone thinks on every causal language model that transformers loads."""

import json

import pytest
import torch
from safetensors.torch import load_file

from latent_tts.models import AutoLatentModel
from tests.checkpoints import TRUNKS, write_on_trunk
from tests.marks import slow_but
from tests.models.conftest import Backbone
from tests.models.reference import Dropout, Noise, sample_key
from tests.models.sampled import check_same

NAMES = {"coconut": "COCONUT", "codi": "CODI", "colar": "Colar"}
STD, P = 1.0, 0.1
SAMPLERS = {
    "noise": {"latent_do_sample_by": "noise", "noise_std": STD},
    "dropout": {"dropout_p": P, "dropout_site": "residual"},
}


@pytest.fixture(scope="module")
def on_trunk(tmp_path_factory):
    """A backbone on a trunk, written and loaded once."""
    made = {}

    def make(kind, trunk):
        if (kind, trunk) not in made:
            folder = tmp_path_factory.mktemp("trunk") / f"{kind}-{trunk}"
            made[kind, trunk] = Backbone(kind, write_on_trunk(folder, kind, trunk), named=kind)
        return made[kind, trunk]

    return make


# Either sampler in turn, so that each meets every backbone and every trunk but one.
PAIRS = [(kind, trunk) for trunk in TRUNKS for kind in NAMES]
SAMPLED = [(*pair, list(SAMPLERS)[number % 2]) for number, pair in enumerate(PAIRS)]


# Each trunk once, and each backbone.
QUICK = [("coconut", "Qwen3"), ("codi", "SmolLM2"), ("colar", "GPT2")]


@pytest.mark.parametrize(
    ("kind", "trunk", "sampler"), slow_but(SAMPLED, *(s for s in SAMPLED if s[:2] in QUICK))
)
def test_samples_are_those_of_the_plain_model(on_trunk, trunk, kind, sampler):
    backbone = on_trunk(kind, trunk)
    prompts, settings = backbone.prompts(2), {**SAMPLERS[sampler], "latent_length": 4}
    settings |= {"max_new_tokens": 11, "seed": 6}
    found = backbone.sample({**settings, "num_return_sequences": 2}, prompts=prompts)
    for (question, sample), one in found.items():
        prompt = prompts[question]
        key = sample_key(6, prompt, sample)
        randomness = {
            "noise": {"noise": Noise(STD, key)},
            "dropout": {"dropout": Dropout(P, "residual", "prompt_and_thoughts", key)},
        }
        expected = backbone.reference.answer(
            prompt, length=4, max_new_tokens=11, **randomness[sampler]
        )
        torch.testing.assert_close(one.thoughts, expected.thoughts, rtol=0, atol=1e-3)
        assert list(one.answer_ids) == expected.sequence[len(prompt) + 5 :]
        assert one.truncated == expected.truncated
    assert len({one.answer_ids for one in found.values()}) > 2


@pytest.mark.parametrize(("kind", "trunk"), slow_but(PAIRS, *QUICK))
def test_what_is_saved_says_what_it_is(on_trunk, tmp_path, trunk, kind):
    backbone = on_trunk(kind, trunk)
    backbone.model.save_pretrained(tmp_path)
    backbone.tokenizer.save_pretrained(tmp_path)
    names = [set(load_file(at / "model.safetensors")) for at in (tmp_path, backbone.folder)]
    assert names[0] == names[1]
    model = "Llama" if trunk == "SmolLM2" else trunk
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["architectures"] == [f"{NAMES[kind]}{model}"]
    again = Backbone(kind, tmp_path)
    assert type(again.model) is type(backbone.model)
    settings = {"latent_do_sample_by": "noise", "latent_length": 3, "max_new_tokens": 10}
    check_same(again.sample(settings), backbone.sample(settings))


def test_a_trunk_without_the_latent_tokens_is_refused(on_trunk, tmp_path):
    """The tokenizer of CoLaR's checkpoint has no token that begins COCONUT's thinking."""
    folder = on_trunk("colar", "Qwen2").folder
    with pytest.raises(ValueError, match=r"has no latent tokens: .* A coconut checkpoint needs '"):
        AutoLatentModel.from_pretrained(folder, backbone="coconut", ignore_weights="lt_head.*")

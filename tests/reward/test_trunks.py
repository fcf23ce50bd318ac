"""A reward head sits on any trunk that a backbone thinks on."""

import json

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModel

from latent_tts.models import AutoLatentModel, load_tokenizer, sample
from latent_tts.reward import LatentRewardModel, beam_search
from tests.checkpoints import TRUNKS, write_on_trunk
from tests.marks import slow_but
from tests.reward.checkpoints import random_reward_model

QUESTIONS = ("1 + 1?", "How much is 13 + 4?")
SAMPLING = {"latent_do_sample_by": "noise", "noise_std": 1.0, "latent_length": 3}


@pytest.fixture(scope="module", params=slow_but(TRUNKS, "GPT2", "Qwen3"))
def loaded(request, tmp_path_factory):
    """COCONUT on a trunk, and prompts."""
    folder = write_on_trunk(tmp_path_factory.mktemp("trunk"), "coconut", request.param)
    model = AutoLatentModel.from_pretrained(folder, backbone="coconut")
    tokenizer = load_tokenizer(folder)
    return model, [model.encode_prompt(tokenizer, question) for question in QUESTIONS]


@pytest.fixture
def reward_model(loaded):
    return random_reward_model(loaded[0])


@torch.no_grad()
def plain_rewards(folder, prompt, thoughts):
    """What transformers' own trunk and the saved weights say of a trajectory's thoughts."""
    weights = load_file(folder / "model.safetensors")
    trunk = AutoModel.from_config(AutoConfig.from_pretrained(folder), attn_implementation="eager")
    prefix = next(name for name in weights if not name.startswith("classifier")).partition(".")[0]
    own = {name.removeprefix(f"{prefix}."): tensor for name, tensor in weights.items()}
    head = [own.pop(f"classifier.{name}") for name in ("weight", "bias")]
    trunk.eval().load_state_dict(own)
    inputs = torch.cat((trunk.get_input_embeddings().weight[prompt], thoughts))
    hidden = trunk(inputs_embeds=inputs[None], use_cache=False).last_hidden_state[0]
    return torch.nn.functional.linear(hidden[len(prompt) :], *head).squeeze(-1)


def test_what_is_saved_scores_as_the_plain_trunk(loaded, reward_model, tmp_path):
    backbone, prompts = loaded
    settings = backbone.settings(**SAMPLING, num_return_sequences=3, max_new_tokens=8)
    trajectories = list(sample(backbone, prompts, settings))
    reward_model.save_pretrained(tmp_path)
    again = LatentRewardModel.from_pretrained(tmp_path)
    assert type(again) is type(reward_model)
    (name,) = json.loads((tmp_path / "config.json").read_text())["architectures"]
    assert name.endswith("ForTokenClassification")
    for one, rewards in zip(
        trajectories, again.score_trajectories(prompts, trajectories), strict=True
    ):
        expected = plain_rewards(tmp_path, prompts[one.question], one.thoughts)
        assert rewards == pytest.approx(expected.tolist(), abs=1e-3)
        assert max(map(abs, rewards)) > 0.1


def test_it_guides_a_beam_search(loaded, reward_model):
    backbone, prompts = loaded
    settings = backbone.settings(
        **SAMPLING, num_beams=2, num_beam_candidates=3, num_return_sequences=6, max_new_tokens=8
    )
    found = beam_search(backbone, reward_model, prompts, settings)
    assert [len(own) for own in found] == [2, 2]
    beams = [beam.trajectory for own in found for beam in own]
    rewards = reward_model.score_trajectories(prompts, beams)
    for beam, expected in zip([beam for own in found for beam in own], rewards, strict=True):
        assert beam.step_rewards == pytest.approx(expected, abs=1e-3)

"""Rewards and beams after a prompt that is held once are those of repeated prompts."""

import pytest
import torch

from latent_tts.models.engine.prompts import pad_left
from latent_tts.reward import beam_search
from tests.marks import slow_but
from tests.models.engine.repeated import repeated
from tests.models.sampled import SAMPLING, check_same
from tests.reward.checkpoints import random_reward_model

QUESTIONS = ["Tom has 7 pens.", "He buys 13. So?", "2 + 2? So? So?", "1?"]


@pytest.fixture(params=["coconut", "codi", "colar"])
def backbone(request, backbones):
    model, tokenizer = backbones[request.param]
    return model, [model.encode_prompt(tokenizer, question) for question in QUESTIONS]


@pytest.fixture
def reward_model(backbone):
    return random_reward_model(backbone[0])


@pytest.mark.parametrize(
    ("backbone", "name"),
    slow_but([("coconut", "dropout"), ("codi", "answers"), ("colar", "noise")], ("colar", "noise")),
    indirect=["backbone"],
)
def test_beams_are_those_of_repeated_prompts(backbone, reward_model, name):
    model, prompts = backbone
    length = "max_latent_length" if model.chooses_length else "latent_length"
    sizes = {"num_beams": 3, "num_beam_candidates": 2, "num_return_sequences": 6}
    settings = model.settings(max_new_tokens=16, seed=4, **{length: 5}, **SAMPLING[name], **sizes)

    def search():
        found = beam_search(model, reward_model, prompts, settings)
        beams = [beam for own in found for beam in own]
        trajectories = {(one.trajectory.question, one.trajectory.sample): one for one in beams}
        return {
            name: (beam.trajectory, torch.tensor(beam.step_rewards))
            for name, beam in trajectories.items()
        }

    found = search()
    with repeated():
        expected = search()
    check_same(*({name: one for name, (one, _) in own.items()} for own in (found, expected)))
    for name, (_, rewards) in found.items():
        torch.testing.assert_close(rewards, expected[name][1], rtol=1e-3, atol=1e-3)


def test_scores_and_their_gradients_are_those_of_repeated_prompts(backbone, reward_model):
    input_ids, mask = pad_left(backbone[1][:3], 0)
    thoughts = torch.randn(3, 4, 5, 48, generator=torch.Generator().manual_seed(2))
    lengths = torch.tensor([[5, 1, 3, 5], [2, 5, 4, 0], [5, 5, 5, 5]])

    def score():
        reward_model.zero_grad()
        rewards = reward_model(input_ids, mask, thoughts, lengths)
        (rewards * rewards).sum().backward()
        gradients = {
            name: weight.grad.clone()
            for name, weight in reward_model.named_parameters()
            if weight.grad is not None
        }
        return rewards.detach(), gradients

    found, gradients = score()
    with repeated():
        expected, theirs = score()
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
    assert len(gradients) > 20
    torch.testing.assert_close(gradients, theirs, rtol=1e-3, atol=1e-3)

"""Reward models and beams of thoughts that are mixtures."""

import pytest
import torch
from transformers import AutoModel

from latent_tts.models import AutoLatentModel, Mixture, sample
from latent_tts.reward import LatentRewardModel, beam_search
from tests.models.mixtures.checkpoints import write_checkpoint

QUESTIONS = ("Tom has 9 pears.", "Ann has 31 cups and 4 mugs, or more. How many?")
LENGTHS = {"max_latent_length": 4, "max_new_tokens": 16, "seed": 3}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("mixed"), "llama")


@pytest.fixture(scope="module")
def pair(folder):
    model = AutoLatentModel.from_pretrained(folder, backbone="latent_sft")
    torch.manual_seed(0)
    return model, LatentRewardModel.from_backbone(model)


def test_step_rewards_are_those_of_the_trunk_on_the_fed_mixtures(pair, folder):
    model, guide = pair
    trunk = AutoModel.from_pretrained(folder)
    prompts = [model.encode_prompt(model.tokenizer, question) for question in QUESTIONS]
    settings = model.settings(**LENGTHS, num_return_sequences=3)
    found = list(sample(model, prompts, settings))
    assert len({len(one.thoughts) for one in found} | {0}) > 1
    rewards = guide.score_trajectories(prompts, found)
    embedding = trunk.get_input_embeddings().weight
    for one, own in zip(found, rewards, strict=True):
        prompt = embedding[prompts[one.question]]
        # The mixtures that the trajectory says it was fed, mixed anew.
        mixed = Mixture(one.mixture.ids, one.mixture.log_probs).embed(trunk.get_input_embeddings())
        with torch.no_grad():
            read = trunk(inputs_embeds=torch.cat((prompt, mixed))[None]).last_hidden_state[0]
            expected = guide.classifier(read[len(prompt) :]).squeeze(-1)
        assert list(own) == pytest.approx(expected.tolist(), abs=2e-3)


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["gumbel", "dirichlet"])
def test_one_beam_with_one_candidate_is_the_first_sample(pair, sampler):
    model, guide = pair
    prompts = [model.encode_prompt(model.tokenizer, question) for question in QUESTIONS]
    given = {**LENGTHS, "latent_do_sample_by": sampler}
    plain = {one.question: one for one in sample(model, prompts, model.settings(**given))}
    beams = {"num_beams": 1, "num_beam_candidates": 1, "num_return_sequences": 1}
    found = beam_search(model, guide, prompts, model.settings(**given, **beams))
    for number, (beam,) in enumerate(found):
        assert beam.trajectory.answer_ids == plain[number].answer_ids
        thoughts = plain[number].thoughts
        torch.testing.assert_close(beam.trajectory.thoughts, thoughts, rtol=0, atol=2e-3)
    beams = {"num_beams": 2, "num_beam_candidates": 3, "num_return_sequences": 6}
    best = beam_search(model, guide, prompts, model.settings(**given, **beams))
    assert [len(own) for own in best] == [2, 2]
    scores = [[sum(beam.step_rewards) for beam in own] for own in best]
    assert all(own == sorted(own, reverse=True) for own in scores)

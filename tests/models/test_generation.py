"""`generate`: what it is given, and what it returns."""

import warnings

import pytest
import torch

from latent_tts.models import LatentGenerationConfig, ModelError, sample
from latent_tts.models.generation import prompt_tokens
from tests.models.sampled import thought_length


@pytest.mark.parametrize("given", [None, "hello", [[3, 4]], torch.tensor([[3.0, 4.0]])])
def test_what_is_no_tensor_of_token_ids_is_refused(backbones, given):
    with pytest.raises(ModelError, match="needs input_ids, a tensor i64"):
        backbones["coconut"].model.generate(given)


def test_questions_are_encoded_for_generate(backbone):
    questions = ["2 + 2?", "Tom has 3 pens and buys 4. ### 9<|end-latent|>", ""]
    batch = backbone.model.encode_prompts(backbone.tokenizer, questions)
    prompts = [backbone.model.encode_prompt(backbone.tokenizer, text) for text in questions]
    assert prompt_tokens(**batch) == prompts
    settings = thought_length(backbone, 2) | {"max_new_tokens": 8, "latent_do_sample": False}
    assert torch.equal(
        backbone.model.generate(**batch, **settings),
        backbone.generate(prompts, **settings).sequences,
    )


@pytest.mark.parametrize("questions", [[], "2 + 2?"])
def test_what_is_no_list_of_questions_is_refused(backbones, questions):
    one = backbones["coconut"]
    with pytest.raises(ModelError, match=r"needed is a list of at least one text"):
        one.model.encode_prompts(one.tokenizer, questions)


def test_what_a_config_asks_for_in_vain_is_said(backbones):
    model, prompt = backbones["coconut"].model, torch.tensor([[3, 4]])
    config = LatentGenerationConfig(latent_do_sample=False, do_sample=True, min_p=0.9, seed=3)
    with pytest.warns(UserWarning, match=r"generation_config asks for min_p=0\.9, which"):
        model.generate(prompt, generation_config=config)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.generate(prompt, generation_config=LatentGenerationConfig(latent_do_sample=False))


def test_what_is_returned_is_what_was_sampled(backbone):
    prompts = backbone.prompts(4)
    settings = {"latent_do_sample_by": "noise", "num_return_sequences": 3, "max_new_tokens": 16}
    settings |= thought_length(backbone, 5)
    output = backbone.generate(prompts, **settings)
    found = backbone.sample(settings, prompts=prompts)
    width, tokens = max(map(len, prompts)), backbone.model.latent_tokens
    for row, ids in enumerate(output.answer_ids()):
        one = found[row // 3, row % 3]  # question-major
        assert ids == one.text_ids
        thoughts, answer = int(output.latent_lengths[row]), int(output.answer_lengths[row])
        assert (thoughts, answer) == (len(one.thoughts), len(one.answer_ids))
        assert bool(output.truncated[row]) == one.truncated
        new = [tokens.placeholder] * thoughts + [tokens.end, *one.answer_ids]
        sequence = output.sequences[row].tolist()
        assert sequence[width : width + len(new)] == new
        assert set(sequence[width + len(new) :]) <= {tokens.pad}
        assert sequence[width - len(prompts[row // 3]) : width] == prompts[row // 3]
        torch.testing.assert_close(output.latent_thoughts[row, :thoughts], one.thoughts)
        assert not output.latent_thoughts[row, thoughts:].any()
    assert output.truncated.any()
    assert not output.truncated.all()


def test_beam_search_is_not_generates(backbones):
    with pytest.raises(ModelError, match=r"num_beams=2: .* Use latent_tts.reward.beam_search, or"):
        backbones["coconut"].model.generate(
            torch.tensor([[3, 4]]), num_beams=2, num_return_sequences=4
        )


@pytest.mark.parametrize("given", [[], [-1, 3]])
def test_samples_are_numbered_from_zero_and_one_at_least(backbones, given):
    model = backbones["coconut"].model
    with pytest.raises(ModelError, match=r"samples=\[.*\]; allowed are indices of at least 0, one"):
        list(sample(model, [[3, 4]], model.settings(), samples=given))


def test_a_batch_has_one_prompt_at_least(backbones):
    model = backbones["coconut"].model
    with pytest.raises(ModelError, match="batch_size=0; allowed are whole numbers of at least 1"):
        list(sample(model, [[3, 4]], model.settings(), batch_size=0))


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        ([], "No prompt, or one without tokens"),
        ([[3], []], "No prompt, or one without tokens"),
        ([[3, 262]], r"input_ids from 3 to 262; the checkpoint .* knows 0 to 261\."),
        ([[-1, 3]], "input_ids from -1 to 3"),
    ],
)
def test_prompts_of_another_tokenizer_are_refused(backbones, prompts, message):
    model = backbones["coconut"].model
    with pytest.raises(ModelError, match=message):
        list(sample(model, prompts, model.settings()))

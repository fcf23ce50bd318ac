"""The model of a run, loaded again as the run asked it."""

import re

import pytest

from latent_tts.harness.run_model import load_run_model
from latent_tts.models import AutoLatentModel
from latent_tts.results import ResultsError, RunConfig


def config(prompt_format):
    return RunConfig(
        backbone="colar",
        checkpoint="tiny-colar",
        sampler="noise",
        strength=0.1,
        samples=4,
        dtype="torch.float32",
        prompt_format=prompt_format,
    )


@pytest.mark.parametrize("speed", [1, 2])
def test_a_run_at_another_speed_is_read_at_that_speed(speed):
    own = AutoLatentModel.from_pretrained("tiny-colar").format_prompt("{question}")
    asked = own.replace("speed: 2", f"speed: {speed}")
    model, tokenizer = load_run_model(config(asked))
    assert model.format_prompt("{question}") == asked
    assert f"speed: {speed}" in tokenizer.decode(model.encode_prompt(tokenizer, "How many?"))


def test_another_prompt_format_is_refused():
    with pytest.raises(ResultsError, match=re.escape("The run asked 'Q: {question}', and tiny")):
        load_run_model(config("Q: {question}"))


def test_a_run_that_did_not_record_its_prompts_is_taken_as_it_is():
    assert load_run_model(config(None))[0].backbone == "colar"

"""What the engine gains by sharing prompts, batching samples and batching questions."""

import pytest
import torch
from transformers import GPT2Config

from latent_tts.harness.bench.ways import generate_texts, plain_loop
from latent_tts.harness.bench.work import NEW_TOKENS, prompts, settings
from latent_tts.models import (
    COCONUTGPT2,
    AutoLatentModel,
    LatentGenerationConfig,
    load_tokenizer,
)
from latent_tts.models.backbones.tokens import LatentTokens
from latent_tts.tasks.arith import generate

QUESTIONS = [problem.question for problem in generate(split="validation", count=16, seed=0)]


@pytest.fixture(scope="module")
def sample():
    """Sample from the checkpoint that ships: questions, N -> nothing."""
    model = AutoLatentModel.from_pretrained("tiny-coconut")
    tokenizer = load_tokenizer("tiny-coconut")

    def run(questions, count):
        inputs = model.encode_prompts(tokenizer, questions)
        with torch.inference_mode():
            model.generate(
                **inputs,
                generation_config=LatentGenerationConfig(latent_do_sample_by="noise"),
                num_return_sequences=count,
            )

    return run


def test_shared_prompt(versus, sample):
    versus(
        bound=1.3,
        slow=lambda: sample([QUESTIONS[0]] * 64, 1),
        fast=lambda: sample([QUESTIONS[0]], 64),
    )


def test_samples_in_a_batch(versus, sample):
    versus(
        bound=1.1,
        slow=lambda: sample(QUESTIONS[:4], 8),
        fast=lambda: sample(QUESTIONS[:4], 64),
        work=8.0,
    )


def test_questions_in_a_batch(versus, sample):
    versus(
        bound=1.5,
        slow=lambda: [sample([question], 4) for question in QUESTIONS],
        fast=lambda: sample(QUESTIONS, 4),
    )


@pytest.fixture(scope="module")
def model():
    """A COCONUT of four layers with random weights, whose answers never end by themselves."""
    torch.manual_seed(0)
    sizes = {"n_embd": 256, "n_layer": 4, "n_head": 4, "vocab_size": 5000}
    model = COCONUTGPT2(GPT2Config(**sizes, bos_token_id=None, eos_token_id=None)).eval()
    model.latent_tokens = LatentTokens(end=4998, placeholder=4999, eos=(), pad=0)
    return model


@pytest.fixture(scope="module")
def ways(model):
    """The engine and a plain loop around transformers' forward, 64 samples of a question."""
    input_ids = prompts(model, tokens=65)

    def of(sampler):
        given = settings(model, sampler, 64)
        return {
            "slow": lambda: plain_loop(model, input_ids, given),
            "fast": lambda: model.generate(input_ids, generation_config=given),
        }

    return of


def test_plain_loop_noise(versus, ways):
    versus(bound=2.0, **ways("noise"))


def test_plain_loop_dropout_over_thoughts(versus, ways):
    versus(bound=2.0, **ways("dropout over thoughts"))


def test_plain_loop_dropout_over_prompts(versus, ways):
    """Here every sample reads its prompt by itself."""
    versus(bound=1.0, **ways("dropout over prompt and thoughts"))


def test_one_sample_against_generate(versus, model):
    """As many tokens by transformers' own generate, greedily."""
    input_ids = prompts(model, tokens=65)
    given = settings(model, "noise", 1)
    versus(
        bound=0.9,
        slow=lambda: generate_texts(model, input_ids, count=1, tokens=NEW_TOKENS),
        fast=lambda: model.generate(input_ids, generation_config=given),
    )

"""What the engine gains by sharing prompts, batching samples and batching questions."""

import pytest
import torch

from latent_tts.harness.bench import Work, explicit, straightforward
from latent_tts.harness.bench.endless import endless_ways
from latent_tts.harness.bench.setup import Setup
from latent_tts.models import AutoLatentModel, LatentGenerationConfig, load_tokenizer
from latent_tts.tasks.arith import generate

QUESTIONS = [problem.question for problem in generate(split="validation", count=16, seed=0)]
WORK = Work(layers=4, width=256, heads=4, vocabulary=5000, questions=2)


@pytest.fixture(scope="module")
def sample():
    """Sample from the checkpoint that ships: questions, N -> nothing."""
    model = AutoLatentModel.from_pretrained("tiny-coconut")
    tokenizer = load_tokenizer("tiny-coconut")

    def run(questions, count):
        prompts = [model.format_prompt(question) for question in questions]
        inputs = tokenizer(prompts, return_tensors="pt", padding=True)
        with torch.inference_mode():
            model.generate(
                input_ids=inputs.input_ids,
                attention_mask=inputs.attention_mask,
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
def ways():
    """The engine and a plain loop around transformers' forward, 32 samples a question."""
    model, input_ids = WORK.model(torch.device("cpu"), torch.float32), WORK.prompts()

    def of(sampler):
        settings = WORK.settings(model, sampler, 32)
        return {
            "slow": lambda: straightforward(model, input_ids, settings),
            "fast": lambda: model.generate(input_ids, **vars(settings)),
        }

    return of


def test_straightforward_noise(versus, ways):
    versus(bound=2.0, **ways("noise"))


def test_straightforward_dropout_over_thoughts(versus, ways):
    versus(bound=2.0, **ways("dropout-thoughts"))


def test_straightforward_dropout_over_prompts(versus, ways):
    """Here every sample reads its prompt by itself."""
    versus(bound=1.0, **ways("dropout-prompt-and-thoughts"))


def test_one_sample_against_generate(versus):
    """As many tokens by transformers' own generate, greedily."""
    model, input_ids = WORK.model(torch.device("cpu"), torch.float32), WORK.prompts()
    settings = WORK.settings(model, "noise", 1)
    versus(
        bound=0.9,
        slow=lambda: explicit(model, input_ids, count=1, tokens=WORK.new_tokens),
        fast=lambda: model.generate(input_ids, **vars(settings)),
    )


def test_one_endless_sample(versus):
    """The batch in which all end is the slow side: the other may not take much longer."""
    setup = Setup(
        work=WORK,
        samplers=(),
        counts=(),
        rounds=1,
        device=torch.device("cpu"),
        dtype=torch.float32,
    )
    ways = endless_ways(setup, questions=8, samples=64, tokens=512)
    versus(bound=0.6, slow=ways["ending"], fast=ways["endless"])

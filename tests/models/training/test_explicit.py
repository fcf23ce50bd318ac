"""Written chains: the loss against plain transformers, one unpadded example at a time."""

from dataclasses import replace

import pytest
import torch
from tokenizers import Tokenizer, models
from torch.nn import functional
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from latent_tts.models import BACKBONES, SAMPLERS, Sampler, latent_class
from latent_tts.models.backbones.tokens import LatentTokens
from latent_tts.models.training import OBJECTIVES
from latent_tts.models.training.objectives.explicit import explicit_row
from latent_tts.models.training.unroll import recomputed
from tests.models.training.compared import assert_same, gradients
from tests.models.training.conftest import PROBLEMS, turns_of

EXPLICIT = OBJECTIVES["explicit"]()


def slow_sum(model, tokenizer, problem):
    """The summed loss of one example's steps, answer and end, and how many tokens they are."""
    text = "".join(f"{step}\n" for step in problem.steps) + f"### {problem.answer}"
    prompt = tokenizer.encode(f"{problem.question}\n")
    ids = [*prompt, *tokenizer.encode(text), tokenizer.eos_token_id]
    logits = model(input_ids=torch.tensor([ids])).logits[0]
    learned = ids[len(prompt) :]
    predicted = logits[len(prompt) - 1 : -1]
    return functional.cross_entropy(predicted, torch.tensor(learned), reduction="sum"), len(learned)


def collated(model, tokenizer, problems):
    return EXPLICIT.collate(model, tokenizer, turns_of(problems), updates=1, seed=0)


@pytest.mark.parametrize("checkpointing", [False, True])
def test_loss_and_gradients_equal_the_slow_computation(plain, checkpointing):
    model, tokenizer = plain
    batch = collated(model, tokenizer, PROBLEMS[:5])
    assert len({len(tokenizer.encode(problem.question)) for problem in PROBLEMS[:5]}) > 1
    model.train(checkpointing)
    with recomputed(model, checkpointing):
        fast = EXPLICIT.loss(model, batch, Sampler(), None)["text"]
    model.eval()
    slow, counts = zip(*(slow_sum(model, tokenizer, p) for p in PROBLEMS[:5]), strict=True)
    assert int(batch["counts"]["text"]) == sum(counts)
    torch.testing.assert_close(fast, sum(slow))
    assert_same(gradients(model, fast), gradients(model, sum(slow)))


def test_the_line_break_is_read_as_where_the_model_is_sampled():
    vocabulary = {token: number for number, token in enumerate(["2", "+", "?", "\n", "?\n", "#"])}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.BPE(vocabulary, [("?", "\n")])), eos_token="#"
    )
    assert tokenizer.encode("2+2?\n") == [0, 1, 0, 4]
    row = explicit_row(tokenizer, replace(PROBLEMS[0], question="2+2?"))
    model = latent_class(BACKBONES["explicit"], GPT2LMHeadModel)(
        GPT2Config(vocab_size=6, n_embd=4, n_layer=1, n_head=1, eos_token_id=5)
    )
    end = LatentTokens.find(model, tokenizer).end
    assert list(row.prompt) == [*model.encode_prompt(tokenizer, "2+2?"), end] == [0, 1, 0, 2, 3]


def test_an_examples_loss_depends_on_no_other_example_of_the_batch(plain):
    model, tokenizer = plain
    together = EXPLICIT.loss(model, collated(model, tokenizer, PROBLEMS[:6]), Sampler(), None)[
        "text"
    ]
    alone = sum(
        EXPLICIT.loss(model, collated(model, tokenizer, [problem]), Sampler(), None)["text"]
        for problem in PROBLEMS[:6]
    )
    torch.testing.assert_close(together, alone)


def test_logits_are_made_for_learned_tokens_alone(plain):
    model, tokenizer = plain
    batch = collated(model, tokenizer, PROBLEMS[:4])
    seen = []
    model.lm_head.register_forward_hook(lambda module, args, out: seen.append(len(out)))
    EXPLICIT.loss(model, batch, Sampler(), None)
    assert seen == [int(batch["counts"]["text"])]


def test_the_text_is_the_documented_format(plain):
    model, tokenizer = plain
    batch = collated(model, tokenizer, PROBLEMS[1:2])
    problem = PROBLEMS[1]
    steps = "\n".join(problem.steps)
    text = tokenizer.decode([*batch["prompt"][0], *batch["text"][0]])
    assert text == f"{problem.question}\n{steps}\n### 4<|endoftext|>"
    assert tokenizer.decode(batch["targets"]) == f"{steps}\n### 4<|endoftext|>"
    assert EXPLICIT.longest(model, tokenizer, problem) == batch["mask"].sum()


def test_a_sampler_has_no_thoughts_to_change(plain):
    model, tokenizer = plain
    batch = collated(model, tokenizer, PROBLEMS[:2])
    noise = SAMPLERS["noise"](noise_std=3.0)
    assert torch.equal(
        EXPLICIT.loss(model, batch, noise, None)["text"],
        EXPLICIT.loss(model, batch, Sampler(), None)["text"],
    )

"""COCONUT's loss and gradients against a slow computation, its stages, and its samplers."""

import pytest
import torch
from torch.nn import functional

from latent_tts.models import SAMPLERS, ModelError, Sampler
from latent_tts.models.samplers import randomness
from latent_tts.models.training import OBJECTIVES, Turn
from latent_tts.models.training.unroll import recomputed
from tests.marks import slow_but
from tests.models.reference import Dropout as ReferenceDropout
from tests.models.reference import Reference, sample_key
from tests.models.training.compared import assert_same, gradients
from tests.models.training.conftest import PROBLEMS, Problem, turns_of
from tests.models.training.slow import embed, read, summed_loss, think

COCONUT = OBJECTIVES["coconut"]
NONE = Sampler()


def collated(objective, made, problems, **turn):
    return objective.collate(*made, turns_of(problems, **turn), updates=100, seed=0)


def slow_terms(model, tokenizer, problem, *, kept, thoughts, probe=None, noise=None):
    """The text's and the probe's summed losses of one example."""
    prompt = tokenizer.encode(f"{problem.question}\n<|start-latent|>")
    steps = "".join(f"{step}\n" for step in kept)
    text = [*tokenizer.encode(f"{steps}### {problem.answer}"), tokenizer.eos_token_id]
    inputs = think(model, prompt, thoughts, lambda hidden: hidden, noise)
    (end,) = tokenizer.encode("<|end-latent|>")
    states = read(model, torch.cat((inputs, embed(model, [end, *text[:-1]]))))
    losses = [summed_loss(model, states[-len(text) :], text)]
    if probe is not None:
        results = [int(step.strip("<>").split("=")[1]) for step in problem.steps]
        for step in range(thoughts // 2):
            after = probe(states[len(prompt) + 2 * step + 1])
            result = torch.tensor(results[min(step, len(results) - 1)] % 100)
            losses.append(functional.cross_entropy(after, result))
    return losses[0], sum(losses[1:])


STAGES = [(1, False), (2, False), (4, False), (1, True), (2, True), (4, True)]


@pytest.mark.parametrize(("stage", "checkpointing"), slow_but(STAGES, (1, False), (2, True)))
def test_loss_and_gradients_equal_the_slow_computation(latent, stage, checkpointing):
    model, tokenizer = latent("coconut")
    objective = COCONUT(stage_updates=10, probe_weight=0.7)
    batch = collated(objective, (model, tokenizer), PROBLEMS[:4], update=10 * (stage - 1))
    torch.manual_seed(0)
    helpers = objective.helpers(model).double()
    model.train(checkpointing)
    with recomputed(model, checkpointing):
        fast = objective.loss(model, batch, NONE, helpers)
    model.eval()
    steps = min(stage, 3)
    slow = [
        slow_terms(
            model,
            tokenizer,
            problem,
            kept=problem.steps[steps:] if stage < 4 else (),
            thoughts=2 * steps,
            probe=helpers["probe"],
        )
        for problem in PROBLEMS[:4]
    ]
    for name, sums in zip(("text", "probe"), zip(*slow, strict=True), strict=True):
        torch.testing.assert_close(fast[name], sum(sums))
    assert batch["counts"]["probe"] == 4 * steps
    total = sum(text + 0.7 * probe for text, probe in slow)
    assert_same(
        gradients(model, fast["text"] + 0.7 * fast["probe"]),
        gradients(model, total),
    )


def test_a_small_gradient_step_changes_the_loss_by_as_much(latent):
    model, tokenizer = latent("coconut")
    objective = COCONUT()
    batch = collated(objective, (model, tokenizer), PROBLEMS[:3])
    weight = model.transformer.h[0].mlp.c_proj.weight
    objective.loss(model, batch, NONE, None)["text"].backward()
    size, direction = float(weight.grad.norm()), weight.grad / weight.grad.norm()
    losses = []
    with torch.no_grad():
        start = weight.clone()
        for sign in (1, -1):
            weight.copy_(start + sign * 1e-5 * direction)
            losses.append(float(objective.loss(model, batch, NONE, None)["text"]))
    assert (losses[0] - losses[1]) / 2e-5 == pytest.approx(size, rel=1e-4)


def test_noise_while_training_is_that_of_a_sample(latent):
    model, tokenizer = latent("coconut")
    objective, noise = COCONUT(), SAMPLERS["noise"](noise_std=0.8)
    batch = collated(objective, (model, tokenizer), PROBLEMS[:3], visit=2)
    fast = objective.loss(model, batch, noise, None)["text"]
    slow = 0
    for problem in PROBLEMS[:3]:
        prompt = tokenizer.encode(f"{problem.question}\n<|start-latent|>")
        key = sample_key(0, prompt, 2)
        drawn = [
            0.8 * randomness.normal(key, torch.tensor(len(prompt) + n), site=0, size=48)
            for n in range(6)
        ]
        slow += slow_terms(model, tokenizer, problem, kept=(), thoughts=6, noise=drawn)[0]
    torch.testing.assert_close(fast, slow)
    assert not torch.isclose(fast, objective.loss(model, batch, NONE, None)["text"])


@pytest.mark.parametrize("scope", ["prompt_and_thoughts", "thoughts"])
def test_dropout_while_training_is_that_of_a_sample(checkpoints, latent, scope):
    """The states after the thoughts are those from which the reference would answer."""
    model, tokenizer = latent("coconut")
    model.float()
    sampler = SAMPLERS["dropout"](dropout_p=0.2, dropout_site="residual", dropout_scope=scope)
    batch = collated(COCONUT(), (model, tokenizer), PROBLEMS[1:2], visit=1)
    found = COCONUT().loss(model, batch, sampler, None)["text"]
    reference = Reference("coconut", checkpoints["coconut"])
    prompt = tokenizer.encode(f"{PROBLEMS[1].question}\n<|start-latent|>")
    dropout = ReferenceDropout(0.2, "residual", scope, sample_key(0, prompt, 1))
    answered = reference.answer(prompt, length=6, max_new_tokens=60, dropout=dropout)
    inputs = [*reference.embed(prompt), *answered.thoughts]
    masked = [scope != "thoughts"] * len(prompt) + [True] * 5 + [False]
    text = [*tokenizer.encode(f"### {PROBLEMS[1].answer}"), tokenizer.eos_token_id]
    loss = 0
    for fed, target in zip([reference.end, *text], text, strict=False):
        inputs, masked = [*inputs, *reference.embed([fed])], [*masked, False]
        logits = reference.logits(reference.hidden(inputs, masked, dropout))
        loss += functional.cross_entropy(logits, torch.tensor(target))
    torch.testing.assert_close(found, loss, rtol=1e-4, atol=1e-4)


def test_stages_and_where_they_begin(latent):
    objective = COCONUT(stage_updates=10, thought_steps=2, thoughts_per_step=3)
    assert objective.stage_starts(100) == [0, 10, 20]
    assert objective.stage_starts(15) == [0, 10]
    assert [objective.generation(update, 100)["latent_length"] for update in (10, 11, 20, 99)] == [
        3,
        6,
        6,
        6,
    ]
    assert COCONUT().stage_starts(100) == [0]
    model, tokenizer = latent("coconut")
    texts = [
        tokenizer.decode(
            collated(objective, (model, tokenizer), PROBLEMS[2:3], update=u)["text"][0]
        )
        for u in (0, 10, 20)
    ]
    assert texts == [
        "<|end-latent|><<2+2=4>>\n<<2+3=5>>\n### 5<|endoftext|>",
        "<|end-latent|><<2+3=5>>\n### 5<|endoftext|>",
        "<|end-latent|>### 5<|endoftext|>",
    ]


def test_a_share_of_batches_is_of_earlier_stages(latent):
    made = latent("coconut")
    objective = COCONUT(earlier_share=0.5, stage_updates=1)
    thoughts = [
        collated(objective, made, PROBLEMS[:2], update=50, batch=batch)["thoughts"]
        for batch in range(60)
    ]
    assert set(thoughts) == {0, 2, 4, 6}
    assert 25 < sum(count == 6 for count in thoughts) < 50  # 30 and those of stage 3
    none = COCONUT(stage_updates=1)
    assert {collated(none, made, PROBLEMS[:2], update=50)["thoughts"]} == {6}


def test_steps_without_a_result_are_named_where_a_probe_would_read_them(latent):
    made = latent("coconut")
    turn = Turn(Problem("How many?", ("many and more",), "3"), 0, 0, 0, 0)
    with pytest.raises(ModelError, match=r"many and more.*Set probe_weight to 0"):
        COCONUT(probe_weight=1.0).collate(*made, [turn], updates=1, seed=0)
    assert COCONUT().collate(*made, [turn], updates=1, seed=0)["thoughts"] == 6

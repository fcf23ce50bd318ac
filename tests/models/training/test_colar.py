"""CoLaR's two terms and their gradients against a slow computation."""

import pytest
import torch
from torch.nn import functional

from latent_tts.models import SAMPLERS, Sampler
from latent_tts.models.samplers import randomness
from latent_tts.models.training import OBJECTIVES
from tests.marks import slow_but
from tests.models.reference import sample_key
from tests.models.training.compared import assert_same, gradients
from tests.models.training.conftest import PROBLEMS, turns_of
from tests.models.training.slow import embed, read, summed_loss

COLAR = OBJECTIVES["colar"]
SITE = 1 << 22


def made_objective(loss="mse"):
    return COLAR(latent_loss=loss, latent_width=64, max_speed=3)


def collated(objective, made, problems, batch=0):
    return objective.collate(*made, turns_of(problems, batch=batch), updates=1, seed=0)


def speeds(objective, made, count=40):
    """A batch number for each speed."""
    found = {}
    for batch in range(count):
        cut = collated(objective, made, PROBLEMS[:1], batch)["shares"]
        found.setdefault(round(float(cut.min()) ** -2), batch)
    return found


def slow_terms(model, tokenizer, problem, labels, *, speed, loss, log_std, noise=0.0):
    """The text's and the latent head's summed losses of one example."""
    prompt = tokenizer.encode(
        f"Question: {problem.question} Let's think step by step:(Thinking speed: {speed})###"
    )
    steps = tokenizer.encode("\n".join(problem.steps))
    groups = [steps[at : at + speed] for at in range(0, len(steps), speed)]
    for label, group in zip(labels, groups, strict=False):
        assert label in group
    fed = [embed(model, group).sum(dim=0) / len(group) ** 0.5 for group in groups]
    key = sample_key(0, prompt, 0)

    def drawn(position, site):
        return randomness.normal(key, torch.tensor(len(prompt) + position), site=site, size=48)

    (end,) = tokenizer.encode("###")
    answer = [*tokenizer.encode("Answer:"), *tokenizer.encode(problem.answer)]
    noisy = [one + noise * drawn(position, 0) for position, one in enumerate(fed)]
    inputs = [*embed(model, prompt), *noisy, *embed(model, [end, *answer])]
    states = read(model, torch.stack(inputs))[len(prompt) - 1 :]
    targets = [*labels[: len(groups)], end, *answer, tokenizer.eos_token_id]
    text = summed_loss(model, states, targets)
    latent = 0
    for position, wanted in enumerate([*fed, embed(model, [end])[0]]):
        wanted = wanted.detach() / model.latent_embedding_std
        inner = model.lt_head.fc(states[position])
        mean, std = model.lt_head.mean(inner), log_std(inner).exp()
        if loss == "mse":
            latent += functional.mse_loss(mean + std * drawn(position, SITE), wanted)
        else:
            latent -= torch.distributions.Normal(mean, std).log_prob(wanted).mean()
    return text, latent


TERMS = [*((1, "mse", 0.0), (1, "mse", 0.05), (3, "mse", 0.0), (3, "mse", 0.05))]
TERMS += [(2, "nll", 0.0), (2, "nll", 0.05)]


@pytest.mark.parametrize(
    ("speed", "loss", "noise"), slow_but(TERMS, (3, "mse", 0.05), (2, "nll", 0.0))
)
def test_terms_and_gradients_equal_the_slow_computation(latent, speed, loss, noise):
    model, tokenizer = latent("colar")
    width = model.lt_head.mean.weight.shape[1]
    objective = COLAR(latent_loss=loss, latent_width=width, max_speed=3)
    number = speeds(objective, (model, tokenizer))[speed]
    batch = collated(objective, (model, tokenizer), PROBLEMS[:4], number)
    torch.manual_seed(0)
    helpers = objective.helpers(model).double()
    sampler = SAMPLERS["noise"](noise_std=noise) if noise else Sampler()
    fast = objective.loss(model, batch, sampler, helpers)
    slow = [
        slow_terms(
            model,
            tokenizer,
            problem,
            batch["text"][row].tolist(),
            speed=speed,
            loss=loss,
            log_std=helpers["log_std"],
            noise=noise,
        )
        for row, problem in enumerate(PROBLEMS[:4])
    ]
    for name, sums in zip(("text", "latent"), zip(*slow, strict=True), strict=True):
        torch.testing.assert_close(fast[name], sum(sums))
    assert_same(
        gradients(model, fast["text"] + fast["latent"]),
        gradients(model, sum(text + hidden for text, hidden in slow)),
        within=1e-5,  # Llama's norms compute in single precision
    )


def test_every_speed_is_drawn_and_one_for_a_batch(latent):
    made = latent("colar")
    assert sorted(speeds(made_objective(), made)) == [1, 2, 3]


@pytest.mark.parametrize(("asked", "most", "speed"), [(2, 1, 1), (2, 5, 2), (1, 5, 1), (4, 5, 4)])
def test_a_trained_model_thinks_at_a_speed_that_it_learned(latent, asked, most, speed):
    model, _ = latent("colar")
    objective = COLAR(max_speed=most, thinking_speed=asked)
    assert objective.config(model.config)["thinking_speed"] == speed


def test_an_examples_loss_depends_on_no_other_of_the_batch(latent):
    made = latent("colar")
    width = made[0].lt_head.mean.weight.shape[1]
    objective = COLAR(latent_loss="nll", latent_width=width)
    helpers = objective.helpers(made[0]).double()
    turns = turns_of(PROBLEMS[:5])
    together = objective.collate(*made, turns, updates=1, seed=0)
    alone = [objective.collate(*made, [turn], updates=1, seed=0) for turn in turns]
    for name in ("text", "latent"):
        whole = objective.loss(made[0], together, Sampler(), helpers)[name]
        parts = [objective.loss(made[0], one, Sampler(), helpers)[name] for one in alone]
        torch.testing.assert_close(whole, sum(parts))


def test_the_embeddings_spread_is_the_unit_of_thoughts(latent):
    model, _ = latent("colar")
    made_objective().settle(model)
    spread = float(model.get_input_embeddings().weight.detach().std())
    assert model.latent_embedding_std == model.config.latent_embedding_std == spread

"""The trainer: going on gives the same weights, at stages too; batches make up an update."""

import copy
import shutil

import pytest
import torch
from torch.nn import functional

from latent_tts.models import SAMPLERS, AutoLatentModel, Sampler, load_tokenizer
from latent_tts.models.training import OBJECTIVES, Course, Plan, train
from latent_tts.models.training.schedule import stage_schedule
from tests.models.training.conftest import PROBLEMS, without_dropout

PLAN = {
    "updates": 4,
    "batch_size": 3,
    "accumulate": 2,
    "learning_rate": 1e-2,
    "save_minutes": 0.0,
    "report_to": "none",
}
CASES = {
    "coconut": {"stage_updates": 1, "thought_steps": 1, "probe_weight": 0.5},
    "codi": {"codi_thoughts": 2},
    "colar": {"latent_width": 64},
}


def run(folder, model, tokenizer, objective, **options):
    sampler = options.pop("sampler", None)
    plan = Plan(**PLAN | options)
    return train(
        model, tokenizer, PROBLEMS, objective, plan, folder=folder, sampler=sampler, quiet=True
    )


def started(checkpoints, kind):
    model = AutoLatentModel.from_pretrained(checkpoints[kind])
    return model, load_tokenizer(checkpoints[kind])


def objective_of(model, kind):
    options = dict(CASES[kind])
    if kind == "colar":
        options["latent_width"] = model.lt_head.mean.weight.shape[1]
    return OBJECTIVES[kind](**options)


@pytest.mark.slow
@pytest.mark.parametrize("kind", CASES)
def test_going_on_from_a_checkpoint_gives_the_same_weights(checkpoints, tmp_path, kind):
    model, tokenizer = started(checkpoints, kind)  # its own dropout is on while it trains
    start = copy.deepcopy(model.state_dict())
    objective, sampler = objective_of(model, kind), SAMPLERS["noise"](noise_std=0.1)
    done = run(tmp_path / "whole", model, tokenizer, objective, sampler=sampler)
    assert done.updates == 4
    whole = model.state_dict()
    assert max(float((whole[name] - start[name]).abs().max()) for name in whole) > 1e-3
    shutil.copytree(tmp_path / "whole", tmp_path / "again")
    shutil.rmtree(tmp_path / "again" / "checkpoint-4")
    resumed, _ = started(checkpoints, kind)
    run(tmp_path / "again", resumed, tokenizer, objective, sampler=sampler)
    assert all(torch.equal(resumed.state_dict()[name], whole[name]) for name in whole)
    finished, _ = started(checkpoints, kind)
    run(tmp_path / "whole", finished, tokenizer, objective, sampler=sampler)
    assert all(torch.equal(finished.state_dict()[name], whole[name]) for name in whole)


def slow_updates(model, tokenizer, objective, updates):
    """Plain AdamW on the mean over each update's learned tokens, one batch an update."""
    course = Course(PROBLEMS, updates=updates, batch_size=3, batches=2, seed=0)
    decayed = [w for w in model.parameters() if w.dim() > 1]
    others = [w for w in model.parameters() if w.dim() <= 1]
    groups = [{"params": decayed, "weight_decay": 0.01}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=1e-2, betas=(0.9, 0.98))
    schedule = stage_schedule(optimizer, [0], updates, 0.03, 0.1)
    for update in range(updates):
        turns = [course[6 * update + index] for index in range(6)]
        batch = objective.collate(model, tokenizer, turns, updates=updates, seed=0)
        loss = objective.loss(model, batch, Sampler(), None)["text"] / batch["counts"]["text"]
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()


@pytest.mark.slow
def test_batches_of_an_update_are_weighted_by_their_tokens(checkpoints, tmp_path):
    made = [started(checkpoints, "coconut") for _ in range(2)]
    objective = OBJECTIVES["coconut"](thought_steps=1)
    for model, _ in made:
        without_dropout(model).double()  # the keys' biases have no gradient but rounding
    run(tmp_path, *made[0], objective)
    slow_updates(*made[1], objective, 4)
    for name, weight in made[1][0].state_dict().items():
        torch.testing.assert_close(made[0][0].state_dict()[name], weight, rtol=0, atol=1e-8)


def test_rates_begin_anew_at_every_stage():
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    schedule = stage_schedule(optimizer, [0, 10], 30, warmup=0.2, least=0.1)
    rates = []
    for _ in range(30):
        rates.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    assert rates[0] < rates[1] < rates[2] == max(rates[:10])
    assert rates[9] < 0.2
    assert rates[10] < rates[12] < max(rates) == pytest.approx(1.0)
    assert rates[-1] == pytest.approx(0.1, abs=0.02)
    assert functional.relu(torch.tensor(rates)).min() > 0

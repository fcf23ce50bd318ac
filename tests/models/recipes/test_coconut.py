"""COCONUT's curriculum: what is learned, from what, and that an interrupted run goes on."""

import os
import shutil
import signal
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional
from transformers import TrainerCallback, TrainingArguments

from latent_tts.models import AutoLatentModel, load_tokenizer
from latent_tts.models.recipes.coconut import (
    PROBE_CLASSES,
    CoconutTrainer,
    Collator,
    Example,
    Stage,
    coconut_loss,
    train_stage,
)

EXAMPLES = [
    Example(
        "Add " + " and ".join(str(place + term) for term in range(2 + place % 4)),
        (f"{place}+1={place + 1}", f"{place + 1}+2={place + 3}"),
        str(place + 3),
    )
    for place in range(12)
]
WEIGHT = 0.7


def make_stage(replaced, thoughts, weight=WEIGHT):
    return Stage(
        name="latent",
        replaced=replaced,
        thoughts=thoughts,
        thoughts_per_step=2,
        probe_weight=weight,
        updates=10,
        learning_rate=1e-2,
    )


ARGUMENTS = {
    "per_device_train_batch_size": 4,
    "seed": 3,
    "data_seed": 3,
    "save_steps": 4,
    "report_to": [],
    "use_cpu": True,
    "dataloader_pin_memory": False,
    "disable_tqdm": True,
}


@pytest.fixture
def coconut(checkpoints):
    """A model with a probe, and a tokenizer, of this test's own."""
    folder = checkpoints["coconut"]
    model = AutoLatentModel.from_pretrained(folder)
    torch.manual_seed(0)
    model.probe = nn.Linear(model.config.hidden_size, PROBE_CLASSES)
    return model, load_tokenizer(str(folder))


def slow_loss(model, tokenizer, examples, *, replaced, thoughts, weight):
    """The loss without cache, padding or the model's own generation code."""
    embed, losses, probe_losses = model.transformer.wte, [], []
    for example in examples:
        steps = "".join(f"{step}\n" for step in example.steps[replaced:])
        prompt = tokenizer.encode(f"{example.question}\n<|start-latent|>")
        text = [*tokenizer.encode(f"{steps}### {example.answer}"), tokenizer.eos_token_id]
        inputs = embed(torch.tensor(prompt))
        results = [int(step.split("=")[1]) for step in example.steps]
        for thought in range(thoughts):
            hidden = model.transformer(inputs_embeds=inputs[None]).last_hidden_state[0]
            inputs = torch.cat((inputs, hidden[-1:]))
            hidden = model.transformer(inputs_embeds=inputs[None]).last_hidden_state[0]
            if thought % 2:
                result = torch.tensor(results[min(thought // 2, 1)])
                probe_losses.append(functional.cross_entropy(model.probe(hidden[-1]), result))
        end = tokenizer.convert_tokens_to_ids("<|end-latent|>")
        inputs = torch.cat((inputs, embed(torch.tensor([end, *text[:-1]]))))
        hidden = model.transformer(inputs_embeds=inputs[None]).last_hidden_state[0]
        logits = hidden[-len(text) :] @ embed.weight.T
        losses.append(functional.cross_entropy(logits, torch.tensor(text), reduction="none"))
    loss = torch.cat(losses).mean()
    return loss + weight * torch.stack(probe_losses).mean() if probe_losses else loss


@pytest.mark.parametrize("weight", [0, WEIGHT])
@pytest.mark.parametrize(("replaced", "thoughts"), [(0, 0), (1, 2), (None, 5)])
def test_the_loss_and_its_gradients_equal_the_slow_computation(coconut, replaced, thoughts, weight):
    model, tokenizer = coconut
    stage = make_stage(replaced, thoughts, weight)
    batch = Collator(model, tokenizer, stage)(EXAMPLES[:5])
    assert len(set(batch["prompt_mask"].sum(dim=1).tolist())) > 1
    fast = coconut_loss(model, stage=stage, **batch)
    fast.backward()
    weights = dict(model.base_model.named_parameters())
    gradients = {name: value.grad.clone() for name, value in weights.items()}
    model.zero_grad()
    kept = len(EXAMPLES[0].steps) if replaced is None else replaced
    slow = slow_loss(
        model, tokenizer, EXAMPLES[:5], replaced=kept, thoughts=thoughts, weight=weight
    )
    slow.backward()
    torch.testing.assert_close(fast, slow)
    for name, value in weights.items():
        scale = float(value.grad.abs().max())
        torch.testing.assert_close(gradients[name], value.grad, rtol=0, atol=1e-3 * scale)


def test_a_gradient_equals_the_difference_quotient(coconut):
    model, tokenizer = coconut
    model.double()
    stage = make_stage(None, 4)
    batch = Collator(model, tokenizer, stage)(EXAMPLES[:3])
    weight = model.transformer.h[0].mlp.c_proj.weight
    coconut_loss(model, stage=stage, **batch).backward()
    size = float(weight.grad.norm())
    direction, losses = weight.grad / size, []
    step = 1e-3
    with torch.no_grad():
        start = weight.clone()
        for sign in (1, -1):
            weight.copy_(start + sign * step * direction)
            losses.append(float(coconut_loss(model, stage=stage, **batch)))
    assert (losses[0] - losses[1]) / (2 * step) == pytest.approx(size, rel=5e-3)


@pytest.mark.parametrize(
    ("replaced", "text"),
    [
        (0, "<|end-latent|>1+1=2\n2+2=4\n### 4<|endoftext|>"),
        (1, "<|end-latent|>2+2=4\n### 4<|endoftext|>"),
        (7, "<|end-latent|>### 4<|endoftext|>"),
        (None, "<|end-latent|>### 4<|endoftext|>"),
    ],
)
def test_a_stage_replaces_the_first_steps(coconut, replaced, text):
    model, tokenizer = coconut
    batch = Collator(model, tokenizer, make_stage(replaced, 2))([EXAMPLES[1], EXAMPLES[10]])
    target = batch["target"][0]
    assert tokenizer.decode(target[target >= 0]) == text
    prompt = batch["prompt"][0][batch["prompt_mask"][0].bool()]
    assert tokenizer.decode(prompt) == f"{EXAMPLES[1].question}\n<|start-latent|>"
    # Prompts are padded on the left, targets on the right.
    assert batch["prompt_mask"][:, -1].all()
    assert (batch["target"][:, 0] >= 0).all()
    assert batch["prompt"].shape == batch["prompt_mask"].shape


def test_a_probe_is_to_read_each_replaced_steps_result(coconut):
    model, tokenizer = coconut
    example = Example("?", ("<<60+7=67>>", "<<67*2=134>>"), "134")
    for stage, results in ((make_stage(None, 6), [[67, 34, 34]]), (make_stage(1, 2), [[67]])):
        assert Collator(model, tokenizer, stage)([example])["results"].tolist() == results
    assert Collator(model, tokenizer, make_stage(0, 0))([example])["results"].shape == (1, 0)


class KillAt(TrainerCallback):
    """Kills its process as an out-of-memory killer does."""

    def __init__(self, step):
        self.step = step

    def on_step_end(self, arguments, state, control, **kwargs):
        if state.global_step == self.step:
            os.kill(os.getpid(), signal.SIGKILL)


def run_stage(checkpoint: Path, folder: Path, callbacks=()):
    """Train the stage from the checkpoint and return its weights."""
    model = AutoLatentModel.from_pretrained(checkpoint)
    tokenizer = load_tokenizer(str(checkpoint))
    train_stage(
        model.train(),
        tokenizer,
        EXAMPLES,
        make_stage(1, 2),
        folder=folder,
        arguments=ARGUMENTS,
        callbacks=callbacks,
    )
    return model.state_dict()


@pytest.mark.slow
def test_a_killed_stage_goes_on_and_ends_as_an_uninterrupted_one(checkpoints, tmp_path, run_python):
    # Three batches an epoch: update 9 is the last of the third epoch, and the newest checkpoint, of
    # update 8, lies within that epoch. Dropout is on.
    code = (
        f"import importlib.util, pathlib, torch\n"
        f"torch.set_num_threads({torch.get_num_threads()})\n"
        f"spec = importlib.util.spec_from_file_location('recipes', {str(__file__)!r})\n"
        f"module = importlib.util.module_from_spec(spec)\n"
        f"spec.loader.exec_module(module)\n"
        f"folder = pathlib.Path({str(tmp_path / 'killed')!r})\n"
        f"checkpoint = pathlib.Path({str(checkpoints['coconut'])!r})\n"
        f"module.run_stage(checkpoint, folder, [module.KillAt(9)])\n"
    )
    killed = run_python("-c", code, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    names = sorted(path.name for path in (tmp_path / "killed").iterdir())
    assert names == ["checkpoint-4", "checkpoint-8"]
    seen = []

    class Watch(TrainerCallback):
        def on_step_end(self, arguments, state, control, **kwargs):
            seen.append(state.global_step)

    resumed = run_stage(checkpoints["coconut"], tmp_path / "killed", [Watch()])
    assert seen == [9, 10]
    whole = run_stage(checkpoints["coconut"], tmp_path / "whole")
    start = AutoLatentModel.from_pretrained(checkpoints["coconut"]).state_dict()
    for name, weight in whole.items():
        torch.testing.assert_close(resumed[name], weight, rtol=0, atol=1e-5)
    moved = max(float((whole[name] - start[name]).abs().max()) for name in whole)
    assert moved > 1e-2
    # A finished stage is not trained again.
    seen.clear()
    again = run_stage(checkpoints["coconut"], tmp_path / "killed", [Watch()])
    assert seen == []
    for name, weight in resumed.items():
        assert torch.equal(again[name], weight)
    shutil.rmtree(tmp_path / "killed")


def test_each_epoch_has_its_own_order_and_a_resumed_run_the_same(coconut, tmp_path):
    model, tokenizer = coconut
    trainer = CoconutTrainer(
        model=model,
        args=TrainingArguments(output_dir=str(tmp_path), **ARGUMENTS),
        train_dataset=EXAMPLES,
        data_collator=Collator(model, tokenizer, make_stage(None, 2)),
        stage=make_stage(None, 2),
    )

    def orders(epochs):
        sampler = trainer._get_train_sampler()
        found = []
        for epoch in epochs:
            sampler.set_epoch(epoch)
            found.append(list(sampler))
        return found

    whole = orders(range(3))
    assert all(sorted(order) == list(range(12)) for order in whole)
    assert whole[0] != whole[1] != whole[2]
    assert orders([2]) == whole[2:]


def test_the_trainers_loss_is_the_stages(coconut, tmp_path):
    model, tokenizer = coconut
    trainer = CoconutTrainer(
        model=model,
        args=TrainingArguments(output_dir=str(tmp_path), **ARGUMENTS),
        train_dataset=EXAMPLES,
        data_collator=Collator(model, tokenizer, make_stage(1, 2)),
        stage=make_stage(1, 2),
    )
    batch = trainer.data_collator(EXAMPLES[:3])
    expected = coconut_loss(model, stage=make_stage(1, 2), **batch)
    assert torch.equal(trainer.compute_loss(model, batch), expected)
    loss, outputs = trainer.compute_loss(model, batch, return_outputs=True)
    assert torch.equal(loss, expected)
    assert outputs == {}

"""Training learns what can be learned, stops when it should, and goes on after a kill."""

import json
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from transformers import EvalPrediction, GPT2Config

from latent_tts.models.training.checkpoints import newest_checkpoint
from latent_tts.reward import RewardError
from latent_tts.reward.batches import RewardCollator, training_questions
from latent_tts.reward.labels import LabelledQuestion
from latent_tts.reward.model import COCONUTGPT2ForTokenClassification
from latent_tts.reward.trainer import recall_at_1
from latent_tts.reward.training import RewardRecipe, train_reward_model

WIDTH, COUNT, DEPTH = 16, 8, 3


def toy(size, *, seed, noise=False):
    """Questions whose trajectories are right where the last thought points in one direction."""
    generator = torch.Generator().manual_seed(seed)
    questions = []
    for index in range(size):
        thoughts = torch.randn(COUNT, DEPTH, WIDTH, generator=generator)
        signal_ = torch.randn(COUNT, generator=generator) if noise else thoughts[:, -1, 0]
        right = signal_ > 0.8
        # Earlier thoughts say nothing: a completion from them is right as often as any.
        labels = torch.full((COUNT, DEPTH), 0.21)
        labels[:, -1] = right
        questions.append(
            LabelledQuestion(
                id=str(index),
                gold="1",
                prompt=(1, 2 + index % 5),
                answers=tuple("1" if good else "0" for good in right),
                thoughts=thoughts.half(),
                lengths=torch.full((COUNT,), DEPTH),
                labels=labels,
                right=right,
            )
        )
    return questions


def new_model():
    transformers.set_seed(0)
    config = GPT2Config(
        vocab_size=10,
        n_embd=WIDTH,
        n_layer=1,
        n_head=2,
        n_positions=16,
        bos_token_id=0,
        eos_token_id=0,
    )
    config.update({"attn_pdrop": 0.0, "embd_pdrop": 0.0, "resid_pdrop": 0.0})
    return COCONUTGPT2ForTokenClassification(config).eval()


RECIPE = RewardRecipe(learning_rate=3e-3, epochs=6, batch_size=16, patience=6)
LONG = replace(RECIPE, learning_rate=1e-2, epochs=30, patience=30)


def train(folder, recipe=RECIPE, *, noise=False, **options):
    questions = training_questions(toy(120, seed=1, noise=noise), labels=recipe.labels)
    return train_reward_model(
        new_model(),
        questions,
        toy(60, seed=2),
        recipe,
        folder=folder,
        pad=0,
        disable_tqdm=True,
        **options,
    )


def states(folder):
    return json.loads((newest_checkpoint(folder, ()) / "trainer_state.json").read_text())


def recalls(folder):
    history = states(folder)["log_history"]
    return [row["eval_recall@1"] for row in history if "eval_recall@1" in row]


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["contrastive", "bce"])
def test_what_depends_linearly_on_the_last_thought_is_learned(tmp_path, loss):
    _, before = train(tmp_path / "none", train=False)
    model, after = train(tmp_path / "trained", replace(LONG, loss=loss))
    assert before["recall@1"] < 0.45
    assert after["recall@1"] > 0.8 * after["coverage"]
    assert after["recall@1"] == max(recalls(tmp_path / "trained"))
    assert before["pass@1"] == after["pass@1"] == pytest.approx(0.21, abs=0.05)
    assert not model.training


@pytest.mark.slow
def test_the_best_epoch_is_kept(tmp_path, monkeypatch):
    # Scored well in the second epoch only, whatever the model does.
    values = iter([0.1, 0.9, 0.3, 0.2, 0.2])
    kept = []

    def scripted(prediction):
        kept.append(prediction.predictions)
        return {"recall@1": next(values), "pass@1": 0.0, "coverage": 1.0}

    monkeypatch.setattr("latent_tts.reward.trainer.recall_at_1", scripted)
    train(tmp_path, replace(RECIPE, epochs=4))
    assert np.allclose(kept[-1], kept[1], atol=1e-5)
    assert not np.allclose(kept[-1], kept[3], atol=1e-5)


@pytest.mark.slow
def test_early_stopping_fires(tmp_path):
    recipe = replace(RECIPE, epochs=40, patience=2, learning_rate=1e-9)
    train(tmp_path, recipe, noise=True)
    found = recalls(tmp_path)
    assert len(found) < 40
    best = int(np.argmax(found))
    assert len(found) == best + 1 + recipe.patience
    assert states(tmp_path)["best_metric"] == found[best]


def test_labels_without_rollouts(tmp_path):
    questions = training_questions(toy(20, seed=1), labels="trajectory")
    for question in questions:
        expected = question.right[:, None].float().expand(COUNT, DEPTH)
        assert torch.equal(question.labels, expected)
    short = replace(questions[0], lengths=torch.arange(COUNT) % (DEPTH + 1))
    found = training_questions([short], labels="trajectory")[0].labels
    assert torch.equal(found.sum(dim=1), short.right * short.lengths.float())


def test_questions_all_right_or_all_wrong_are_left_out():
    first, *others = training_questions(toy(20, seed=1), labels="rollouts")
    same = [replace(first, right=torch.full((COUNT,), value)) for value in (True, False)]
    assert training_questions([*same, *others], labels="rollouts") == others
    with pytest.raises(RewardError, match="Each of the 2 questions has only right or only wrong"):
        training_questions(same, labels="rollouts")


def test_different_numbers_of_trajectories():
    first, other, *_ = training_questions(toy(20, seed=1), labels="rollouts")
    fields = ("thoughts", "lengths", "labels")
    fewer = replace(other, **{name: getattr(other, name)[:4] for name in fields})
    fewer = replace(fewer, right=torch.tensor([True, False, True, True]))
    with pytest.raises(RewardError, match="with 4 and 8 trajectories cannot be mixed"):
        training_questions([first, fewer], labels="rollouts")


def test_a_batch_pads_prompts_and_thoughts():
    one, two = toy(2, seed=3)
    two = replace(two, prompt=(5,), thoughts=two.thoughts[:, :1], labels=two.labels[:, :1])
    batch = RewardCollator(pad=9)([one, two])
    assert batch["input_ids"].tolist() == [[1, 2], [9, 5]]
    assert batch["attention_mask"].tolist() == [[1, 1], [0, 1]]
    assert batch["latent_thoughts"].shape == (2, COUNT, DEPTH, WIDTH)
    assert torch.equal(batch["latent_thoughts"][1, :, :1], two.thoughts)
    assert not batch["latent_thoughts"][1, :, 1:].any()
    assert torch.equal(batch["labels"][0], one.labels)


def test_recall_at_1_by_hand():
    nan = float("nan")
    scores = np.array([[1.0, 3.0, 2.0], [nan, 0.0, -1.0], [5.0, 5.0, 1.0], [nan, nan, nan]])
    right = np.array([[0, 1, 0], [1, 0, 1], [1, 0, 0], [0, 0, 0]], dtype=bool)
    found = recall_at_1(EvalPrediction(predictions=scores, label_ids=right))
    # Right; NaN does not win and the next is wrong; the earlier of two; none is right.
    assert found == {"recall@1": 0.5, "pass@1": 4 / 12, "coverage": 0.75}


def weights(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


CODE = """
import os, signal, sys
from pathlib import Path
import torch
torch.set_num_threads(int(sys.argv[2]))
from transformers import Trainer
from tests.reward.test_training import train
plain, calls = {where}, []
def stop(self, *args, **kwargs):
    calls.append(1)
    if len(calls) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return plain(self, *args, **kwargs)
{where} = stop
train(Path(sys.argv[1]))
"""


# In the third epoch's checkpoint: before anything is written, and before its last file.
@pytest.mark.slow
@pytest.mark.parametrize("where", ["Trainer._save_checkpoint", "Trainer._save_rng_state"])
def test_killed_and_gone_on_with_is_as_in_one_go(run_python, tmp_path, where):
    expected, measured = train(tmp_path / "whole")
    root = str(Path(__file__).parents[2])
    path = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), root]))
    threads = str(torch.get_num_threads())
    code = CODE.format(where=where)
    folder = tmp_path / "killed"
    killed = run_python("-c", code, str(folder), threads, check=False, PYTHONPATH=path)
    assert killed.returncode == -signal.SIGKILL
    assert newest_checkpoint(folder, ()).name == "checkpoint-14"
    found, again = train(folder)
    assert again == measured
    assert recalls(folder) == recalls(tmp_path / "whole")
    for name, tensor in weights(expected).items():
        torch.testing.assert_close(weights(found)[name], tensor, rtol=0, atol=1e-6)


@pytest.mark.slow
def test_a_finished_training_is_not_begun_again(tmp_path, monkeypatch):
    expected, measured = train(tmp_path)
    monkeypatch.setattr(transformers.Trainer, "train", None)
    found, again = train(tmp_path)
    assert again == measured
    assert all(torch.equal(weights(found)[name], t) for name, t in weights(expected).items())


@pytest.mark.slow
def test_a_training_that_stopped_early_is_not_begun_again(tmp_path, monkeypatch):
    recipe = replace(RECIPE, epochs=40, patience=1, learning_rate=1e-9)
    train(tmp_path, recipe, noise=True)
    monkeypatch.setattr(transformers.Trainer, "train", None)
    train(tmp_path, recipe, noise=True)


PARTS = ("model.safetensors", "optimizer.pt", "scheduler.pt")


@pytest.mark.slow
def test_checkpoints_left_in_part_are_removed(tmp_path):
    train(tmp_path, replace(RECIPE, epochs=1))
    whole = newest_checkpoint(tmp_path, PARTS)
    for name, missing in (("checkpoint-8", "optimizer.pt"), ("checkpoint-9", "model.safetensors")):
        shutil.copytree(whole, tmp_path / name)
        (tmp_path / name / missing).unlink()
    shutil.copytree(whole, tmp_path / "checkpoint-10")
    (tmp_path / "checkpoint-10" / "trainer_state.json").write_text('{"epoch"')
    assert newest_checkpoint(tmp_path, PARTS) == whole
    assert [path.name for path in tmp_path.glob("checkpoint-*")] == [whole.name]

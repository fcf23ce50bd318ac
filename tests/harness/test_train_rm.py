"""`latent-tts train-rm`: from shards to a reward model in the released format."""

import json
import logging
import shutil
import signal

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file

from latent_tts.harness.commands.annotate import annotate
from latent_tts.harness.commands.train_rm import train_rm
from latent_tts.models import load_tokenizer
from latent_tts.models.samplers.randomness import question_key
from latent_tts.reward import LatentRewardModel, RewardError
from latent_tts.reward.batches import RewardCollator
from latent_tts.reward.shards import Shards
from latent_tts.tasks.arith import generate

pytestmark = pytest.mark.slow

COUNT = 60


def invoke(command, *arguments):
    result = CliRunner().invoke(command, list(map(str, arguments)), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def write_questions(path, indices):
    rows = [{"id": i, "question": f"Tom has {i} pens.", "answer": "0"} for i in indices]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def write_shards(folder, backbone, questions, *more):
    words = [
        "--trajectories",
        "4",
        "--rollouts",
        "2",
        "--max-new-tokens",
        "11",
        "--shard-size",
        "16",
    ]
    given = ("--pretrained", backbone, "--questions", questions, "--output", folder)
    invoke(annotate, *words, *given, *more)
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A backbone that is right now and then, its shards, and pools of other questions."""
    from tests.reward.checkpoints import write_counting_codi

    folder = tmp_path_factory.mktemp("made")
    backbone = write_counting_codi(folder / "codi")
    asked = write_questions(folder / "asked.jsonl", range(COUNT))
    others = write_questions(folder / "others.jsonl", range(COUNT, COUNT + 12))
    return {
        "pretrained": backbone,
        "shards": write_shards(folder / "shards", backbone, asked),
        "validation": write_shards(folder / "pools", backbone, others, "--trajectories", "6"),
    }


@pytest.fixture(scope="module")
def arguments(made):
    words = [
        "--epochs",
        "3",
        "--batch-size",
        "8",
        "--learning-rate",
        "0.003",
        "--report-to",
        "none",
    ]
    return [*words, "--pretrained", str(made["pretrained"]), "--shards", str(made["shards"])]


def entries_of(folder):
    return [entry for _, entry in Shards.open(folder).entries()]


def is_held_out(entry):
    return question_key(0, entry.prompt) % 10 == 0


@torch.no_grad()
def recall_of(model, pools):
    inputs = RewardCollator(0)(pools)
    right = inputs.pop("right")
    inputs.pop("labels")
    best = model.score(**inputs).sum(dim=-1).argmax(dim=1)
    return right[torch.arange(len(right)), best].double().mean().item()


def test_what_is_published(arguments, made, tmp_path):
    validation = ("--validation", made["validation"])
    shown = invoke(train_rm, *arguments, *validation, "--output", tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    assert {tensor.dtype for tensor in weights.values()} == {torch.float16}
    others = {name for name in weights if not name.startswith("transformer.")}
    assert others == {"classifier.weight", "classifier.bias"}
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["architectures"] == ["CODIGPT2ForTokenClassification"]  # for whom it is
    assert config["use_cache"]
    assert len(config["latent_backbone"]) == 32  # whose thoughts it reads
    card = (tmp_path / "README.md").read_text()
    assert f"| {COUNT} | 4 | 2 | dropout | 0.2 |" in card
    assert "loss contrastive, labels of rollouts, on" in card
    question = "Tom has 5 pens.<|start-latent|>"
    own, theirs = (load_tokenizer(str(at)) for at in (tmp_path, made["pretrained"]))
    assert own.encode(question) == theirs.encode(question)
    measured = json.loads((tmp_path / "measured.json").read_text())
    pools = entries_of(made["validation"])
    found = recall_of(LatentRewardModel.from_pretrained(tmp_path), pools)
    assert found == pytest.approx(measured["measured"]["recall@1"], abs=1 / 12 + 1e-6)
    right = torch.stack([pool.right for pool in pools]).double()
    assert measured["measured"]["pass@1"] == pytest.approx(right.mean().item())
    mixed = sum(0 < e.right.sum() < 4 for e in entries_of(made["shards"]))
    assert measured["questions"] == {"read": COUNT, "mixed": mixed, "held_out": 12}
    assert f"On 12 held-out pools recall@1 is {measured['measured']['recall@1']:.4f} ±" in shown


def test_a_tenth_is_held_out_where_no_validation_is_given(arguments, made, tmp_path):
    shown = invoke(train_rm, *arguments, "--epochs", 1, "--output", tmp_path)
    held = [is_held_out(entry) for entry in entries_of(made["shards"])]
    assert 2 <= sum(held) <= 12
    assert f"of {COUNT - sum(held)} questions" in shown
    assert f"On {sum(held)} held-out pools" in shown


def test_a_tenth_of_every_kind_is_held_out():
    easy, hard = (
        [problem.question for problem in generate(split="train", count=2000, seed=1, hard=hard)]
        for hard in (False, True)
    )
    tokenizer = load_tokenizer("tiny-coconut")
    for texts in (easy, hard):
        held = [question_key(0, tokenizer.encode(text)) % 10 == 0 for text in texts]
        assert 160 < sum(held) < 240


@pytest.mark.parametrize("ablation", [("--loss", "bce"), ("--labels", "trajectory")])
def test_ablations_train_another_model(arguments, tmp_path, ablation):
    invoke(train_rm, *arguments, "--epochs", 1, "--output", tmp_path / "plain")
    invoke(train_rm, *arguments, "--epochs", 1, "--output", tmp_path / "other", *ablation)
    plain, other = (load_file(tmp_path / n / "model.safetensors") for n in ("plain", "other"))
    assert not torch.equal(plain["classifier.weight"], other["classifier.weight"])


def test_the_ablation_of_a_random_head(arguments, made, tmp_path):
    invoke(train_rm, *arguments, "--output", tmp_path, "--random-head")
    weights = load_file(tmp_path / "model.safetensors")
    trunk = load_file(made["pretrained"] / "model.safetensors")
    for name, tensor in weights.items():
        if name.startswith("transformer."):
            assert torch.equal(tensor, trunk[name].half())
    assert not list((tmp_path / "training").glob("checkpoint-*"))


def test_killed_and_gone_on_with_is_as_in_one_go(arguments, run_python, tmp_path):
    code = """
import os, signal, sys
from transformers import Trainer
from latent_tts.harness import cli
plain, calls = Trainer._save_rng_state, []
def save(self, folder):
    calls.append(folder)
    if len(calls) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return plain(self, folder)
if sys.argv.pop(1) == "kill":
    Trainer._save_rng_state = save
cli.main()
"""

    def run(how, name, **options):
        output = str(tmp_path / name)
        words = ("-c", code, how, "train-rm", *arguments, "--output", output)
        return run_python(*words, OMP_NUM_THREADS="1", **options)

    run("whole", "one")
    assert run("kill", "two", check=False).returncode == -signal.SIGKILL
    assert not (tmp_path / "two" / "model.safetensors").exists()
    run("whole", "two")
    one, two = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, rtol=1e-3, atol=1e-4)
    first, second = (
        json.loads((tmp_path / n / "measured.json").read_text()) for n in ("one", "two")
    )
    assert first == second


def test_shards_of_another_backbone(arguments, checkpoints, tmp_path):
    with pytest.raises(RewardError, match="were made by another backbone"):
        invoke(train_rm, *arguments, "--pretrained", checkpoints["codi"], "--output", tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_damaged_question_is_left_out_and_named(arguments, made, tmp_path, caplog):
    shards = tmp_path / "shards"
    shutil.copytree(made["shards"], shards)
    path = min(shards.rglob("*.safetensors"))
    path.write_bytes(path.read_bytes()[:-9])
    with caplog.at_level(logging.WARNING):
        shown = invoke(
            train_rm, *arguments[:-1], shards, "--epochs", 1, "--output", tmp_path / "rm"
        )
    assert path.name in caplog.text
    assert "It is left out." in caplog.text
    assert "holds 59 of its 60 questions so far" in caplog.text
    left = entries_of(shards)
    assert len(left) == 59
    assert f"of {sum(not is_held_out(entry) for entry in left)} questions" in shown


def test_an_output_that_other_options_began(arguments, tmp_path):
    invoke(train_rm, *arguments, "--epochs", 1, "--output", tmp_path)
    with pytest.raises(RewardError, match="begun with other options"):
        invoke(train_rm, *arguments, "--epochs", 2, "--output", tmp_path)


def test_held_out_questions_that_are_learned_too(arguments, made, tmp_path):
    with pytest.raises(RewardError, match="60 of the 60 held-out questions are learned too"):
        invoke(train_rm, *arguments, "--validation", made["shards"], "--output", tmp_path)


def test_too_few_questions(arguments, made, tmp_path):
    entries = entries_of(made["shards"])
    indices = [index for index, entry in enumerate(entries) if not is_held_out(entry)]
    few = write_questions(tmp_path / "few.jsonl", indices[:5])
    shards = write_shards(tmp_path / "shards", made["pretrained"], few)
    with pytest.raises(RewardError, match="5 questions leave none to measure recall@1 on"):
        invoke(train_rm, *arguments[:-1], shards, "--output", tmp_path / "rm")


def test_a_folder_without_whole_shards(arguments, made, tmp_path):
    shutil.copy(made["shards"] / "index.json", tmp_path)
    with pytest.raises(RewardError, match="holds no labelled question"):
        invoke(train_rm, *arguments[:-1], tmp_path, "--output", tmp_path / "rm")

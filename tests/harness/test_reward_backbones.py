"""A LatentRM is trained and scored on every backbone that thinks, mixtures too; written chains
are refused."""

import json

import pytest
from click.testing import CliRunner

from latent_tts.harness.commands.annotate import annotate
from latent_tts.harness.commands.sweep import sweep
from latent_tts.harness.commands.train_rm import train_rm
from latent_tts.harness.lm import LatentLM
from latent_tts.models import AutoLatentModel, ModelError
from latent_tts.models.formats import SourceOptions
from latent_tts.reward import LatentRewardModel, RewardError
from latent_tts.reward.shards import Shards
from latent_tts.tasks import Pool
from tests.harness.evaluation import make_request
from tests.models.formats.test_rot import Written
from tests.models.mixtures.checkpoints import write_checkpoint

pytestmark = pytest.mark.slow

LENGTHS = ["--max-latent-length", "4", "--max-new-tokens", "20"]
ROWS = [{"id": i, "question": f"Tom has {i} pens.", "answer": "1"} for i in range(24)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    r"""A checkpoint that now and then answers `\boxed{1}`, or 0, by tokens of unused bytes."""
    folder = write_checkpoint(tmp_path_factory.mktemp("boxed"), "qwen")
    file = folder / "tokenizer.json"
    tokenizer = json.loads(file.read_text())
    unused = [token for token in tokenizer["model"]["vocab"] if token >= "¡" and token not in "ĠĊ"]
    spelled = {token: rf"\boxed{{{'0' * index}{index % 2}}}" for index, token in enumerate(unused)}
    vocabulary = tokenizer["model"]["vocab"]
    tokenizer["model"]["vocab"] = {spelled.get(k, k): v for k, v in vocabulary.items()}
    tokenizer["model"]["merges"] = []
    file.write_text(json.dumps(tokenizer))
    return folder


def write(file, rows):
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return file


@pytest.fixture(scope="module")
def questions(tmp_path_factory):
    return write(tmp_path_factory.mktemp("asked") / "asked.jsonl", ROWS[:16])


def invoke(command, *arguments):
    result = CliRunner().invoke(command, list(map(str, arguments)), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def labelled(folder, questions, output, backbone, *more):
    given = ["--pretrained", folder, "--backbone", backbone, "--questions", questions]
    counts = ["--trajectories", 4, "--rollouts", 2, "--output", output]
    return invoke(annotate, *given, *counts, *more)


@pytest.mark.parametrize("backbone", ["latent_sft", "soft_thinking"])
def test_mixtures_are_labelled_learned_from_and_scored(folder, questions, tmp_path, backbone):
    more = ["--mixture-temperature", "2", "--gumbel-scale", "1.5"]
    more += ["--latent-do-sample-by", "gumbel", *LENGTHS]
    labelled(folder, questions, tmp_path / "shards", backbone, *more)
    others = write(tmp_path / "others.jsonl", ROWS[16:])
    labelled(folder, others, tmp_path / "held-out", backbone, *more, "--rollouts", 0)
    index = Shards.open(tmp_path / "shards").index
    assert index.backbone == backbone
    assert index.settings["mixture_temperature"] == 2.0
    assert index.settings["gumbel_scale"] == 1.5
    own = ["--pretrained", folder, "--shards", tmp_path / "shards", "--epochs", 1]
    own += ["--validation", tmp_path / "held-out", "--report-to", "none"]
    invoke(train_rm, *own, "--output", tmp_path / "rm", "--backbone", backbone)
    head = LatentRewardModel.from_pretrained(tmp_path / "rm")
    model = AutoLatentModel.from_pretrained(folder, backbone=backbone)
    assert head.config.latent_backbone_class == type(model).__name__

    given = {"max_latent_length": 4, "max_new_tokens": 20, "num_return_sequences": 4}
    given |= {"device": "cpu", "reward_model": str(tmp_path / "rm")}
    lm = LatentLM(str(folder), backbone=backbone, **given)
    requests = [make_request(row["question"], {"return_pool": True}) for row in ROWS[:3]]
    pools = [Pool.from_json(text) for text in lm.generate_until(requests, disable_tqdm=True)]
    rewards = {candidate.reward for pool in pools for candidate in pool.candidates}
    assert len(rewards) > 3
    assert all(len(one.step_rewards) == one.thoughts for pool in pools for one in pool.candidates)

    other = {"latent_sft": "soft_thinking", "soft_thinking": "latent_sft"}[backbone]
    with pytest.raises(RewardError, match=f"hold thoughts of {backbone}, but .* as {other}"):
        invoke(train_rm, *own, "--output", tmp_path / "other", "--backbone", other)
    with pytest.raises(RewardError, match=r"was trained on the thoughts of .* would mean nothing"):
        LatentLM(str(folder), backbone=other, **given)


def test_thoughts_of_rot_are_labelled_learned_from_and_scored(tmp_path):
    written = Written(tmp_path / "released")
    source = SourceOptions(base=str(written.base), lora_alpha=8, latent_length=3)
    model = AutoLatentModel.from_pretrained(written.path, source=source)
    model.save_pretrained(tmp_path / "rot")
    model.tokenizer.save_pretrained(tmp_path / "rot")
    # Of the samples that answer at all most say 9.
    asked = write(tmp_path / "asked.jsonl", [row | {"answer": "9"} for row in ROWS])
    given = ["--pretrained", tmp_path / "rot", "--questions", asked, "--max-new-tokens", 20]
    given += ["--latent-do-sample-by", "noise", "--noise-std", 1]
    counts = ["--trajectories", 4, "--rollouts", 2, "--output", tmp_path / "shards"]
    invoke(annotate, *given, *counts)
    own = ["--pretrained", tmp_path / "rot", "--shards", tmp_path / "shards", "--epochs", 1]
    invoke(train_rm, *own, "--report-to", "none", "--output", tmp_path / "rm")

    sampler = {"latent_do_sample_by": "noise", "noise_std": 1.0, "num_return_sequences": 4}
    lm = LatentLM(str(tmp_path / "rot"), device="cpu", reward_model=str(tmp_path / "rm"), **sampler)
    request = make_request(ROWS[0]["question"], {"return_pool": True})
    (text,) = lm.generate_until([request], disable_tqdm=True)
    candidates = Pool.from_json(text).candidates
    assert [len(one.step_rewards) for one in candidates] == [3] * 4
    assert len({one.reward for one in candidates}) == 4


def test_written_chains_are_no_thoughts(folder, questions, tmp_path):
    with pytest.raises(RewardError, match=r"\(explicit\) has no thoughts.* never a written chain"):
        labelled(folder, questions, tmp_path / "shards", "explicit")
    own = LatentRewardModel.from_backbone(
        AutoLatentModel.from_pretrained(folder, backbone="explicit")
    )
    own.save_pretrained(tmp_path / "rm")
    with pytest.raises(RewardError, match=r"\(explicit\) has no thoughts"):
        LatentLM(str(folder), backbone="explicit", reward_model=str(tmp_path / "rm"), device="cpu")


def test_a_sweep_of_a_plain_language_model(folder, questions, tmp_path):
    given = ["--pretrained", folder, "--questions", questions, "--num-return-sequences", 2]
    more = ["--gumbel-scale", "0.5", "--output", tmp_path / "table.csv"]
    invoke(sweep, *given, *more, "--backbone", "latent_sft")
    table = (tmp_path / "table.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in table] == ["sampler", "none", "gumbel"]
    with pytest.raises(ModelError, match="Did you mean latent_sft"):
        invoke(sweep, *given, *more, "--backbone", "latent_stf")

"""`latent-tts annotate`: killed or not, on one process or two, the labels are the same."""

import json
import signal
from dataclasses import fields

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from latent_tts.harness.commands.annotate import annotate
from latent_tts.harness.questions import arith_questions
from latent_tts.models import ModelError, load_tokenizer
from latent_tts.models.auto import AutoLatentModel
from latent_tts.reward import RewardError
from latent_tts.reward.labels import label_questions
from latent_tts.reward.shards import Shards
from latent_tts.tasks import TaskError, read_questions

pytestmark = pytest.mark.slow

COUNT = 11
COMMAND = ("-m", "latent_tts.harness.cli", "annotate")
ONE_THREAD = {"OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def arguments(tmp_path_factory):
    from tests.reward.checkpoints import write_counting_codi

    folder = tmp_path_factory.mktemp("annotate")
    rows = [
        {"id": i, "question": f"Tom has {i} pens." + " So?" * (i % 3), "answer": str(i % 2)}
        for i in range(COUNT)
    ]
    questions = folder / "questions.jsonl"
    questions.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    words = f"--pretrained {write_counting_codi(folder / 'codi')} --questions {questions}"
    words += " --trajectories 3 --rollouts 2 --max-new-tokens 11 --seed 3"
    return [*words.split(), "--shard-size", "2", "--batch-size", "2"]


def invoke(*arguments):
    result = CliRunner().invoke(annotate, list(map(str, arguments)), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def contents(folder):
    """All that a folder says of its questions, whoever wrote which of them."""
    shards = Shards.open(folder)
    found = {}
    for number, entry in shards.entries():
        own = {field.name: getattr(entry, field.name) for field in fields(entry)}
        found[number] = {
            name: value.tolist() if isinstance(value, torch.Tensor) else value
            for name, value in own.items()
        }
    return shards.index, found


def test_the_folder_holds_what_the_library_says(arguments, tmp_path):
    output = invoke(*arguments, "--output", tmp_path)
    entries = [entry for _, entry in Shards.open(tmp_path).entries()]
    assert [entry.id for entry in entries] == [str(index) for index in range(COUNT)]
    model = AutoLatentModel.from_pretrained(arguments[1])
    settings = model.settings(num_return_sequences=3, max_new_tokens=11, seed=3)
    expected = label_questions(
        model, load_tokenizer(arguments[1]), read_questions(arguments[3]), settings, rollouts=2
    )
    for entry, other in zip(entries, expected, strict=True):
        assert (entry.prompt, entry.answers) == (other.prompt, other.answers)
        assert torch.equal(entry.labels, other.labels)
    assert {0.0, 0.5, 1.0} <= {y for entry in entries for y in entry.labels.flatten().tolist()}
    check_report(output, torch.stack([entry.right for entry in entries]))


def check_report(output, right):
    lines = [line.rsplit(" ± ", 1)[0].rsplit(" ", 1) for line in output.splitlines()[-6:]]
    shown = {name.strip(): float(value) for name, value in lines}
    assert list(shown) == ["pass@1", "coverage@3", "voting@3", "all right", "all wrong", "unparsed"]
    expected = {
        "pass@1": right,
        "coverage@3": right.any(dim=1),
        "all right": right.all(dim=1),
        "all wrong": ~right.any(dim=1),
    }
    for name, values in expected.items():
        assert shown[name] == pytest.approx(values.double().mean().item(), abs=1e-4), name
    assert 0 < shown["voting@3"] <= shown["coverage@3"]
    assert f"{COUNT} of {COUNT} questions, N = 3" in output


def test_killed_and_gone_on_with_is_as_in_one_go(arguments, run_python, tmp_path):
    run_python(*COMMAND, *arguments, "--output", str(tmp_path / "whole"), **ONE_THREAD)
    # Killed in the middle of the lines of the fifth question.
    code = """
import os, signal
from latent_tts.harness import cli
plain, lines = os.write, []
def write(file, content):
    if b'"labelled"' in bytes(content):
        lines.append(content)
        if len(lines) == 5:
            plain(file, content[:len(content) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
    return plain(file, content)
os.write = write
cli.main()
"""
    words = [*arguments, "--output", str(tmp_path / "killed")]
    killed = run_python("-c", code, "annotate", *words, check=False, **ONE_THREAD)
    assert killed.returncode == -signal.SIGKILL
    index, left = contents(tmp_path / "killed")
    whole = contents(tmp_path / "whole")
    assert (index, left) == (whole[0], {n: whole[1][n] for n in range(4)})
    resumed = run_python(*COMMAND, *words, **ONE_THREAD)
    assert "36%" in resumed.stderr  # 4 of 11 questions were there
    assert contents(tmp_path / "killed") == whole
    assert len(whole[1]) == COUNT


def test_two_processes_are_as_one(arguments, run_python, tmp_path):
    run_python(*COMMAND, *arguments, "--output", str(tmp_path / "one"), **ONE_THREAD)
    # `accelerate launch` starts several processes on CPUs through MPI alone.
    launch = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")
    words = [*arguments, "--output", str(tmp_path / "two")]
    run = run_python(*launch, *COMMAND, *words, **ONE_THREAD, CUDA_VISIBLE_DEVICES="")
    assert contents(tmp_path / "two") == contents(tmp_path / "one")
    assert run.stdout.count("questions, N = 3") == 1
    assert run.stderr.count("Annotating:   0%") == 1  # one bar, of both processes
    assert "11/11" in run.stderr


def test_damaged_thoughts_are_named_and_made_again(arguments, tmp_path, caplog):
    invoke(*arguments, "--output", tmp_path)
    whole = contents(tmp_path)
    path = sorted(tmp_path.glob("*/thoughts/*"))[2]
    path.write_bytes(path.read_bytes()[:-7])
    invoke(*arguments, "--output", tmp_path)
    assert f"{path.name}" in caplog.text
    index, found = contents(tmp_path)
    assert (index, list(found)) == (whole[0], list(whole[1]))
    for number, one in found.items():
        assert one["labels"] == whole[1][number]["labels"]
        # In half precision; what else was in the batch changes the last bits.
        np.testing.assert_allclose(one["thoughts"], whole[1][number]["thoughts"], atol=2e-3)


def test_what_is_done_is_not_done_again(arguments, tmp_path, monkeypatch):
    output = invoke(*arguments, "--output", tmp_path).splitlines()[-7:]
    monkeypatch.delattr("latent_tts.harness.commands.annotate.label_questions")
    assert invoke(*arguments, "--output", tmp_path).splitlines()[-7:] == output


def test_another_backbone_seed_or_question_set(arguments, checkpoints, tmp_path):
    output = tmp_path / "shards"
    invoke(*arguments, "--output", output)
    whole = contents(output)
    other = tmp_path / "other.jsonl"
    other.write_text('{"id": "1", "question": "1 + 1?", "answer": "2"}\n')
    for change, message in (
        (("--pretrained", checkpoints["codi"]), "checkpoint was"),
        (("--seed", 4), "seed was 3 and is now 4"),
        (("--questions", other), "questions was .*; count was 11 and is now 1"),
        (("--dropout-p", "0.5"), "dropout_p was .* and is now 0.5"),
    ):
        with pytest.raises(RewardError, match=message):
            invoke(*arguments, *change, "--output", output)
        assert contents(output) == whole


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (("--pretrained", "nowhere/at/all"), ModelError, "No checkpoint"),
        (("--questions", "nowhere.jsonl"), TaskError, "cannot read"),
        (("--dropout-p", "2"), ModelError, "dropout_p=2.0; allowed is a number"),
        (("--latent-do-sample-by", "nois"), ModelError, "Did you mean noise"),
    ],
)
def test_a_mistake_is_refused_before_anything_is_written(
    arguments, tmp_path, change, error, message
):
    with pytest.raises(error, match=message):
        invoke(*arguments, *change, "--output", tmp_path / "shards")
    assert not (tmp_path / "shards").exists()


@pytest.mark.parametrize(("share", "hard"), [(0.0, 0), (0.3, 3), (1.0, 10)])
def test_problems_with_large_numbers_are_spread_evenly(share, hard):
    questions = arith_questions("train", 10, hard_share=share, seed=1)
    is_hard = [question.id.startswith("arith-hard") for question in questions]
    assert sum(is_hard) == hard
    assert len({question.id for question in questions}) == 10
    if hard == 3:
        assert [sum(is_hard[: k + 1]) for k in (3, 6, 9)] == [1, 2, 3]


def test_questions_that_are_too_long_are_named_before_any_work(arguments, tmp_path):
    rows = [
        {"id": f"q{i}", "question": "So? " * (9 + 300 * (i == 2)), "answer": "1"} for i in range(4)
    ]
    (tmp_path / "long.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    given = [*arguments, "--questions", tmp_path / "long.jsonl", "--output", tmp_path / "shards"]
    with pytest.raises(
        ModelError, match=r"1 prompts are too long: question 'q2' \(\d+ tokens\).*Leave them out"
    ):
        invoke(*given)
    assert not (tmp_path / "shards").exists()

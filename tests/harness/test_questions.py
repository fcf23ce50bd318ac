"""Any task or file of questions for the commands that sample, and tables that are not lost."""

import json

import pandas as pd
import pytest
from click.testing import CliRunner

from latent_tts.harness.commands.sweep import sweep
from latent_tts.harness.questions import arith_problems, asked_questions, task_questions
from latent_tts.results import ResultsError
from latent_tts.tasks import TaskError, sources
from tests.harness.evaluation import BENCHMARKS


def test_a_task_of_this_project_asks_its_questions():
    (own,) = task_questions("latent_tts_arith").values()
    rows = sources.arith()["test"]
    assert [(q.id, q.text, q.gold) for q in own] == [
        (row["id"], row["question"], row["answer"]) for row in rows
    ]


def test_a_group_asks_each_of_its_tasks():
    assert list(task_questions("latent_tts_offline")) == [
        "latent_tts_arith",
        "latent_tts_arith_hard",
    ]


def test_a_users_own_task_and_file(tmp_path, data):
    include = f"include: {BENCHMARKS / 'latent_tts_arith.yaml'}\n"
    (tmp_path / "mine.yaml").write_text(include + "task: mine\ndoc_to_text: 'Q: {{question}}'\n")
    found = asked_questions(["mine"], data / "gsm8k_test.jsonl", tmp_path)
    assert list(found) == ["mine", "gsm8k_test"]
    assert found["mine"][0].text.startswith("Q: ")
    assert len(found["gsm8k_test"]) == 9


@pytest.mark.slow
def test_a_task_that_is_not_there():
    with pytest.raises(TaskError, match=r"'latent_tts_arit'\. Did you mean latent_tts_arith"):
        task_questions("latent_tts_arit")


def test_the_problems_of_a_sweep_are_no_test_problems(tmp_path):
    output = tmp_path / "table" / "sweep.csv"
    command = ["--noise-std=0.5", "--problems=3", "--num-return-sequences=2", f"--output={output}"]
    assert CliRunner().invoke(sweep, command, catch_exceptions=False).exit_code == 0
    assert list(pd.read_csv(output).problems) == [3, 3]
    asked = {p.question for p in arith_problems("validation", 500, hard_share=0, seed=0)}
    assert not asked & set(sources.arith()["test"]["question"])


@pytest.mark.parametrize("place", ["file/sweep.csv", "file/deeper/sweep.csv"])
def test_a_table_that_cannot_be_written_is_found_out_first(tmp_path, place, monkeypatch):
    monkeypatch.delattr("latent_tts.harness.commands.sweep.AutoLatentModel")  # nothing is loaded
    (tmp_path / "file").write_text("")
    command = ["--noise-std=0.5", f"--output={tmp_path / place}"]
    with pytest.raises(ResultsError, match=r"--output .* cannot be written: Not a directory"):
        CliRunner().invoke(sweep, command, catch_exceptions=False)


def test_a_table_that_cannot_be_written_at_the_end_is_printed(tmp_path):
    """A device that is always full stands for a disk that fills while a sweep runs."""
    command = ["--noise-std=0.5", "--problems=2", "--num-return-sequences=2"]
    output = tmp_path / "sweep.csv"
    output.symlink_to("/dev/full")
    done = CliRunner().invoke(sweep, [*command, f"--output={output}"])
    assert isinstance(done.exception, OSError)
    assert "sampler,strength" in done.output
    assert json.dumps("none")[1:-1] in done.output

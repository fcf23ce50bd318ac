"""Any task or file of questions for the commands that sample, and tables that are not lost."""

import json
from importlib import import_module

import pandas as pd
import pytest
import yaml
from click.testing import CliRunner

from latent_tts.harness.commands.sweep import sweep
from latent_tts.harness.commands.train import train
from latent_tts.harness.questions import QuestionOptions, arith_problems, task_questions
from latent_tts.results import ResultsError
from latent_tts.tasks import TaskError, sources
from tests.harness.evaluation import BENCHMARKS


def test_a_task_of_this_project_asks_its_questions():
    (own,) = task_questions("latent_tts_arith").values()
    rows = sources.arith()["test"]
    assert [(q.id, q.text, q.gold) for q in own] == [
        (row["id"], row["question"], row["answer"]) for row in rows
    ]


@pytest.mark.slow
def test_a_group_asks_each_of_its_tasks():
    assert list(task_questions("latent_tts_offline")) == [
        "latent_tts_arith",
        "latent_tts_arith_hard",
    ]


@pytest.mark.slow
def test_a_users_own_task_and_file(tmp_path, data):
    include = f"include: {BENCHMARKS / 'latent_tts_arith.yaml'}\n"
    (tmp_path / "mine.yaml").write_text(include + "task: mine\ndoc_to_text: 'Q: {{question}}'\n")
    found = QuestionOptions(
        tasks=["mine"], questions=data / "gsm8k_test.jsonl", include_path=tmp_path
    ).load()
    assert list(found) == ["mine", "gsm8k_test"]
    assert found["mine"][0].text.startswith("Q: ")
    assert len(found["gsm8k_test"]) == 9


@pytest.mark.slow
def test_a_task_that_is_not_there():
    with pytest.raises(TaskError, match=r"'latent_tts_arit'\. Did you mean latent_tts_arith"):
        task_questions("latent_tts_arit")


@pytest.mark.slow
def test_the_problems_of_a_sweep_are_no_test_problems(tmp_path):
    output = tmp_path / "table" / "sweep.csv"
    command = ["--noise-std=0.5", "--problems=3", "--num-return-sequences=2", f"--output={output}"]
    assert CliRunner().invoke(sweep, command, catch_exceptions=False).exit_code == 0
    assert list(pd.read_csv(output).problems) == [3, 3]
    asked = {p.question for p in arith_problems("validation", 500, hard_share=0, seed=0)}
    assert not asked & set(sources.arith()["test"]["question"])


@pytest.mark.parametrize("place", ["file/sweep.csv", "file/deeper/sweep.csv"])
def test_a_table_that_cannot_be_written_is_found_out_first(tmp_path, place, monkeypatch):
    monkeypatch.delattr("latent_tts.harness.checkpoint.AutoLatentModel")  # none is loaded
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


STOCK = {
    "task": "stock",
    "dataset_path": "json",
    "output_type": "generate_until",
    "test_split": "test",
    "doc_to_text": "Question: {{question}}",
    "doc_to_target": "{{answer}}",
    "metric_list": [{"metric": "exact_match"}],
}


@pytest.fixture
def stock(tmp_path):
    """Write a task in lm-eval's own format about questions with these answers."""

    def write(*answers, **changes):
        file = tmp_path / "data.jsonl"
        rows = [{"question": f"Number {i}?", "answer": one} for i, one in enumerate(answers)]
        file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        data = {"data_files": {"test": str(file)}, "cache_dir": str(tmp_path / "cache")}
        task = STOCK | {"dataset_kwargs": data} | changes
        (tmp_path / "stock.yaml").write_text(yaml.safe_dump(task))
        return tmp_path

    return write


def test_a_stock_tasks_worked_solutions_end_in_the_gold_answer(stock):
    folder = stock("5 + 3 = <<5+3=8>>8\n#### 1,008", r"So it is $\boxed{-7}$.", "40")
    (own,) = task_questions("stock", folder).values()
    assert [(one.text, one.gold) for one in own] == [
        ("Question: Number 0?", "1008"),
        ("Question: Number 1?", "-7"),
        ("Question: Number 2?", "40"),
    ]


@pytest.mark.slow
def test_a_tasks_judge_and_tolerance_judge_its_questions(stock):
    folder = stock("Tom is a Wumpus.", "x", metadata={"judge": "text"})
    (own,) = task_questions("stock", folder).values()
    assert own[0].is_right("**tom is a wumpus**")
    assert not own[0].is_right("tom is a rompus")
    (own,) = task_questions("stock", stock("0.5", metadata={"tolerance": 0.01})).values()
    assert own[0].is_right("0.504")
    assert not own[0].is_right("0.51")
    (own,) = task_questions("stock", stock(r"\frac{1}{2}"), "math").values()
    assert own[0].is_right("0.5")


@pytest.mark.parametrize(
    ("answers", "changes", "message"),
    [
        (["a word"], {}, "stock, question 0: answer 'a word' is not a number.*--judge"),
        (["5"], {"metadata": {"judge": "txt"}}, "judge is 'txt'; Did you mean text"),
        ([["5", "7"]], {"doc_to_target": "answer"}, r"question 0 has the gold answer \['5', '7'\]"),
        (
            ["5"],
            {"output_type": "loglikelihood", "metric_list": [{"metric": "acc"}]},
            "stock asks for loglikelihood",
        ),
    ],
)
def test_tasks_that_cannot_be_judged(stock, answers, changes, message):
    with pytest.raises(TaskError, match=message):
        task_questions("stock", stock(*answers, **changes))


@pytest.mark.slow
def test_a_sweep_judges_texts(talkative, tmp_path):
    """What CODI answers is the gold text of one question of two: half are right."""
    from latent_tts.harness.sample import sample_pools
    from latent_tts.models import AutoLatentModel, load_tokenizer

    model = AutoLatentModel.from_pretrained(talkative["codi"])
    alone = model.settings(latent_do_sample=False, num_return_sequences=1, seed=0)
    (pool,) = sample_pools(model, load_tokenizer(str(talkative["codi"])), ["Who?"], alone)
    said = pool.candidates[0].answer
    file, output = tmp_path / "q.jsonl", tmp_path / "sweep.csv"
    rows = [{"id": "a", "question": "Who?", "answer": said}]
    rows += [{"id": "b", "question": "Who?", "answer": "nobody at all"}]
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    command = [f"--questions={file}", "--judge=text", "--noise-std=0.1", f"--output={output}"]
    command += [f"--pretrained={talkative['codi']}", "--num-return-sequences=2"]
    assert CliRunner().invoke(sweep, command, catch_exceptions=False).exit_code == 0
    assert pd.read_csv(output)["pass@1"][0] == 0.5


WRITERS = {
    "train": ["recipe.yaml"],
    "train_rm": ["--shards", "shards"],
    "leaderboard": ["."],
    "curve": ["."],
    "pool": ["import", __file__],
    "data": ["prepare", __file__],
    "compare": ["."],
    "convert": ["."],
    "annotate": [],
    "reward_table": ["--reward-model", "."],
}


@pytest.mark.parametrize("name", WRITERS)
def test_each_command_finds_out_first_that_it_cannot_write(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    (tmp_path / "recipe.yaml").write_text("{objective: explicit, base: {}, data: [{arith: 9}]}")
    command = getattr(import_module(f"latent_tts.harness.commands.{name}"), name)
    flag = "--json" if name == "compare" else "--output"
    done = CliRunner().invoke(command, [*WRITERS[name], flag, "file/deeper/x.png"])
    assert isinstance(done.exception, ResultsError), done.output
    assert f"{flag} file/deeper/x.png cannot be written: Not a directory" in str(done.exception)


def test_a_recipes_own_name_is_a_place_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recipe.yaml").write_text("{objective: explicit, base: {}, data: [{arith: 9}]}")
    (tmp_path / "recipe").write_text("a file in the way")
    done = CliRunner().invoke(train, ["recipe.yaml"])
    assert done.exit_code != 0
    assert "recipe' is a file" in done.output

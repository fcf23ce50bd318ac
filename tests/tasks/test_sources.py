"""Where questions come from: a folder, the hub, the package."""

import json
import re
import subprocess
import sys

import datasets
import pytest
from click.testing import CliRunner

from latent_tts.harness.commands.tasks import tasks as tasks_command
from latent_tts.tasks import TaskError, canonical, sources
from latent_tts.tasks.published import PUBLISHED
from tests.harness.evaluation import BENCHMARKS

HUB_ROWS = {
    "openai/gsm8k": {
        "question": " How many?  Say it. ",
        "answer": "She has 3 * 400 = <<3*400=1200>>1,200 eggs.\n#### 1,200",
    },
    "reasoning-machines/gsm-hard": {
        "input": "How many?",
        "code": "def solution(): ...",
        "target": -9867630.0,
    },
    "ChilleD/SVAMP": {"question_concat": "Two. How many?", "Answer": "2.0"},
    "ChilleD/MultiArith": {"question": " How many? ", "final_ans": "7"},
    "HuggingFaceH4/MATH-500": {
        "problem": "Find $x$. ",
        "solution": "It is $\\boxed{\\frac{14}{3}}$.",
        "answer": " \\frac{14}{3}",
        "unique_id": "test/algebra/2584.json",
    },
    "HuggingFaceH4/aime_2024": {"id": 60, "problem": "Find $x$.", "answer": "025", "year": "2024"},
    "math-ai/aime25": {"id": "0", "problem": "Find $b$.", "answer": "70"},
}


@pytest.fixture
def hub(monkeypatch):
    """A hub that holds one row of each set in the set's own schema and notes what is asked."""
    asked = []

    def load_dataset(path, name=None, *, split):
        asked.append((path, name, split))
        return datasets.Dataset.from_list([HUB_ROWS[path]])

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    monkeypatch.delenv("LATENT_TTS_DATA", raising=False)
    return asked


def local_file(folder, name, answer="5"):
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(json.dumps({"id": 3, "question": "2 + 3?", "answer": answer}))
    return folder


@pytest.mark.parametrize(
    ("source", "asked", "row"),
    [
        (
            sources.gsm8k,
            ("openai/gsm8k", "main", "test"),
            {"id": "0", "question": "How many?  Say it.", "answer": "1200"},
        ),
        (
            sources.gsm_hard,
            ("reasoning-machines/gsm-hard", None, "train"),
            {"id": "0", "question": "How many?", "answer": "-9867630"},
        ),
        (
            sources.multiarith,
            ("ChilleD/MultiArith", None, "test"),
            {"id": "0", "question": "How many?", "answer": "7"},
        ),
        (
            sources.svamp,
            ("ChilleD/SVAMP", None, "train+test"),
            {"id": "0", "question": "Two. How many?", "answer": "2"},
        ),
        (
            sources.math500,
            ("HuggingFaceH4/MATH-500", None, "test"),
            {"id": "0", "question": "Find $x$.", "answer": "\\frac{14}{3}"},
        ),
        (
            sources.aime24,
            ("HuggingFaceH4/aime_2024", None, "train"),
            {"id": "0", "question": "Find $x$.", "answer": "25"},
        ),
        (
            sources.aime25,
            ("math-ai/aime25", None, "test"),
            {"id": "0", "question": "Find $b$.", "answer": "70"},
        ),
    ],
)
def test_hub_rows_become_questions(hub, source, asked, row):
    splits = source(pretrained="some/model", config_source="x.yaml", version=1.0)
    assert hub == [asked]
    assert list(splits) == ["test"]
    assert splits["test"].to_list() == [row]


@pytest.mark.parametrize(
    ("target", "answer"),
    [
        (3.0, "3"),
        (3244047.0999999996, "3244047.0999999996"),
        (-2.4967e-05, "-0.000024967"),
        (1e16, "1" + "0" * 16),
    ],
)
def test_hub_floats_are_normalised(hub, monkeypatch, target, answer):
    monkeypatch.setitem(HUB_ROWS, "reasoning-machines/gsm-hard", {"input": "?", "target": target})
    assert sources.gsm_hard()["test"][0]["answer"] == answer


@pytest.mark.parametrize(
    ("source", "name"),
    [
        (sources.gsm8k, "gsm8k_test.jsonl"),
        (sources.gsm_hard, "gsm_hard.jsonl"),
        (sources.multiarith, "multiarith.jsonl"),
    ],
)
def test_a_local_folder_comes_before_the_hub(hub, monkeypatch, tmp_path, source, name):
    folder = local_file(tmp_path / "a", name)
    row = {"id": "3", "question": "2 + 3?", "answer": "5"}
    assert source(data_dir=str(folder))["test"].to_list() == [row]
    monkeypatch.setenv("LATENT_TTS_DATA", str(folder))
    assert source()["test"].to_list() == [row]
    other = local_file(tmp_path / "b", name, answer="6")
    assert source(data_dir=other)["test"][0]["answer"] == "6"
    assert hub == []


def test_a_named_folder_without_the_file_is_an_error(hub, tmp_path):
    with pytest.raises(TaskError, match=r"cannot read .*gsm8k_test\.jsonl"):
        sources.gsm8k(data_dir=str(tmp_path))
    assert hub == []


def test_an_unreachable_hub_says_what_to_do(hub, monkeypatch):
    def fail(*args, **kwargs):
        raise ConnectionError("no route")

    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(
        TaskError,
        match=r"cannot load openai/gsm8k .*no route.*gsm8k_test\.jsonl.*data_dir.*LATENT_TTS_DATA",
    ):
        sources.gsm8k()


def test_a_changed_hub_schema_is_named(hub, monkeypatch):
    monkeypatch.setitem(HUB_ROWS, "ChilleD/MultiArith", {"question": "?", "answer": "7"})
    with pytest.raises(TaskError, match=r"MultiArith, row 0: field 'final_ans' is missing, found"):
        sources.multiarith()
    monkeypatch.setitem(HUB_ROWS, "openai/gsm8k", {"question": "?", "answer": "none"})
    with pytest.raises(TaskError, match=r"gsm8k, row 0: answer 'none' is not a number"):
        sources.gsm8k()


@pytest.mark.parametrize("source", [sources.arith, sources.arith_hard])
def test_shipped_questions_need_no_hub(hub, source):
    rows = source(anything=1)["test"].to_list()
    assert len(rows) >= 100
    assert all(canonical(row["answer"]) == row["answer"] for row in rows)
    assert hub == []


def test_importing_the_room_is_light():
    heavy = ("torch", "datasets", "pandas", "lm_eval", "transformers")
    code = f"import sys, latent_tts.tasks; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def write_list(folder, name, count):
    """A JSON list of objects without ids, as LatentTTS has its questions."""
    rows = [{"question": f"{i} + 1?", "steps": [], "answer": str(i + 1)} for i in range(count)]
    (folder / name).write_text(json.dumps(rows))


def test_json_lists_are_read(tmp_path):
    write_list(tmp_path, "gsm_test.json", 3)
    write_list(tmp_path, "gsm_hard.json", 1318)
    write_list(tmp_path, "multiarith.json", 580)
    assert sources.gsm8k(data_dir=tmp_path)["test"].to_list()[2] == {
        "id": "2",
        "question": "2 + 1?",
        "answer": "3",
    }
    assert len(sources.gsm_hard_1318(data_dir=tmp_path)["test"]) == 1318
    assert len(sources.multiarith_580(data_dir=tmp_path)["test"]) == 580


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{}", "not a JSON list but '{}'. Expected a JSON list"),
        ("[]", "holds no questions"),
        ("[7]", "element 0: no object but 7"),
        ("[", "not JSON"),
        ('[{"question": "How many?", "answer": "some"}]', "element 0: answer 'some' is not a"),
    ],
)
def test_lists_that_cannot_be_used(tmp_path, content, message):
    (tmp_path / "svamp.json").write_text(content)
    with pytest.raises(TaskError, match=re.escape(message)):
        sources.svamp(data_dir=tmp_path)


def test_a_selection_of_another_size_is_refused(tmp_path):
    write_list(tmp_path, "multiarith.json", 180)
    with pytest.raises(TaskError, match=r"is the set of 580 questions.*holds 180"):
        sources.multiarith_580(data_dir=tmp_path)


@pytest.mark.parametrize("source", [sources.asdiv, sources.mawps, sources.multiarith_580])
def test_what_lies_on_no_hub_says_what_to_do(hub, source):
    with pytest.raises(TaskError, match="Name a folder that holds"):
        source()
    assert hub == []


def test_the_parts_of_mawps_are_told_apart(tmp_path):
    counts = {"mawps_addsub": 395, "mawps_singleeq": 508, "mawps_singleop": 562}
    for name, count in counts.items():
        write_list(tmp_path, f"{name}.json", count)
    ids = sources.mawps(data_dir=tmp_path)["test"]["id"]
    assert len(set(ids)) == 1465
    assert ids[0] == "mawps_addsub-0"


def test_files_of_math_500_are_read_as_they_are(tmp_path):
    row = HUB_ROWS["HuggingFaceH4/MATH-500"]
    (tmp_path / "math500.jsonl").write_text(json.dumps(row))
    assert sources.math500(data_dir=tmp_path)["test"].to_list() == [
        {"id": "test/algebra/2584.json", "question": "Find $x$.", "answer": r"\frac{14}{3}"}
    ]


@pytest.mark.parametrize(
    "answer", ["none", "1000", "-5", "7.5", "1/2", "(", "\\frac{1}{", "٢٥", "²"]
)
def test_an_answer_that_no_aime_has_names_its_question(tmp_path, answer):
    rows = [{"id": f"2024-II-{i}", "problem": "?", "answer": a} for i, a in enumerate("5" + "6")]
    rows[1]["answer"] = answer
    (tmp_path / "aime24.json").write_text(json.dumps(rows))
    with pytest.raises(TaskError, match=r"is not a whole number from 0 to 999.*'2024-II-1'"):
        sources.aime24(data_dir=tmp_path)


def task_judge(name):
    texts = [(BENCHMARKS / file).read_text() for file in (f"latent_tts_{name}.yaml", "_pool.yaml")]
    return next(found[1] for found in (re.search(r"judge: (\w+)", t) for t in texts) if found)


def test_every_published_set_has_a_task_and_a_source():
    tasks = {path.stem for path in BENCHMARKS.glob("latent_tts_*.yaml")}
    for name in PUBLISHED:
        assert f"latent_tts_{name}" in tasks
        assert callable(getattr(sources, name))
        assert task_judge(name) == PUBLISHED[name].judge
    listed = CliRunner().invoke(tasks_command, ["--long"]).output
    assert listed.count("licence:") == listed.count("numbers on") == len(PUBLISHED) + 2
    assert "latent_tts_arith_hard:" in listed
    assert "latent_tts_arith:" in listed


@pytest.mark.parametrize("given", [7, 0, 1e3, True, ["a"]])
def test_a_folder_that_was_read_as_a_number_is_refused(given):
    with pytest.raises(TaskError, match=r"data_dir=.* is no name of a folder.*in quotes"):
        sources.gsm8k(data_dir=given)

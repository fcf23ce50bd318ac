"""Runs that cannot be compared, drawn or read: each is named, and the others make the board."""

import json
import math
import re

import pandas as pd
import pytest
from click.testing import CliRunner
from PIL import Image
from scipy.stats import binomtest

from latent_tts.harness.commands.leaderboard import leaderboard
from latent_tts.harness.commands.pool import import_pool
from latent_tts.results.reports.board import build, build_board
from latent_tts.results.reports.charts import save, task_chart
from tests.results.made import edit, log_of
from tests.results.reports.board.random_runs import random_run

TASK = "latent_tts_arith"
STRENGTH = {"sampler_strength": "noise_std"}


def run_command(*arguments, command=leaderboard):
    done = CliRunner().invoke(command, list(map(str, arguments)), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done


@pytest.fixture
def imported(tmp_path):
    """A folder with a minimal imported run of `TASK`: answers and nothing else."""
    lines = [
        {"id": f"q{i}", "gold": "5", "candidates": [{"answer": "5"}, {"answer": str(i)}]}
        for i in range(12)
    ]
    file = tmp_path / "candidates.jsonl"
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    where = tmp_path / "runs" / "minimal"
    run_command(file, "--output", where, "--task", TASK, command=import_pool)
    return where.parent


@pytest.mark.slow
@pytest.mark.parametrize("company", [False, True])
def test_runs_without_tokens_make_a_board(imported, tmp_path, company):
    if company:
        random_run(imported / "good")
    board = build_board([imported], tmp_path / "out")
    assert not board.problems
    assert set(board.rows["run"]) == ({"good", "minimal"} if company else {"minimal"})
    panels = 3 if company else 2
    with Image.open(tmp_path / "out" / f"curves_{TASK}.png") as image:
        assert round(image.width / 850) == panels
    drawn = (tmp_path / "out" / f"curves_{TASK}.svg").read_text()
    assert ("tokens per question" in drawn) == company


def test_a_picture_that_fails_does_not_end_the_board(tmp_path, monkeypatch):
    random_run(tmp_path / "runs")
    monkeypatch.setattr(build, "task_chart", lambda rows: 1 / 0)
    board = build_board([tmp_path / "runs"], tmp_path / "out")
    (problem,) = board.problems
    assert "cannot be drawn (ZeroDivisionError" in problem.message
    assert not problem.skipped
    for name in ("index.html", "leaderboard.md"):
        text = (tmp_path / "out" / name).read_text()
        assert "cannot be drawn" in text.replace("\\", "")
        assert "curves_" not in text.replace("\\", "").split("cannot be drawn")[0].split("note")[0]


@pytest.mark.slow
def test_bands_stay_within_a_share(tmp_path):
    rows = build_board([random_run(tmp_path / "runs")], tmp_path / "out").rows
    save(task_chart(rows.assign(accuracy=0.99, accuracy_stderr=0.5)), [tmp_path / "c.svg"])
    ends = re.findall(r"95% from: ([\d.]+); to: ([\d.]+)", (tmp_path / "c.svg").read_text())
    assert "100.0" in {high for _, high in ends}
    assert all(0 <= float(low) < float(high) <= 100 for low, high in ends)


@pytest.mark.slow
def test_a_score_of_1_has_a_band(tmp_path):
    rows = build_board([random_run(tmp_path / "runs")], tmp_path / "out").rows
    save(task_chart(rows.assign(accuracy=1.0, accuracy_stderr=0.0)), [tmp_path / "c.svg"])
    text = (tmp_path / "c.svg").read_text()
    low = 100 * binomtest(12, 12).proportion_ci(method="wilson").low
    assert f"accuracy, % ± stderr: 100.0 ± 0.0; 95% from: {low:.1f}; to: 100.0" in text


@pytest.mark.slow
def test_other_questions_are_said_on_stderr_page_and_markdown(tmp_path):
    runs = tmp_path / "runs"
    for seed, name in enumerate(("one", "two")):
        random_run(runs / name, seed=seed)
    random_run(runs / "few", questions=4, seed=3)
    moved = random_run(runs / "moved", seed=4)
    edit(moved, lambda content: content.update(task_hashes={TASK: "other"}))
    unknown = random_run(runs / "unknown", seed=5)
    edit(unknown, lambda content: content.pop("task_hashes"))
    done = run_command(runs, "--output", tmp_path / "out")
    reasons = {
        "few": "was asked 4 of 12 questions: not comparable with the others.",
        "moved": "was asked 12 questions that differ in their text, prompt or order: not",
    }
    markdown = (tmp_path / "out" / "leaderboard.md").read_text()
    page = (tmp_path / "out" / "index.html").read_text()
    assert len(done.stderr.splitlines()) == 2
    for name, reason in reasons.items():
        (line,) = [line for line in done.stderr.splitlines() if f"/{name}/" in line]
        assert line.startswith("note: ")
        for text in (line, page, markdown.replace("\\", "")):
            assert reason in text
    marked = [line.split("|")[1].strip() for line in markdown.splitlines() if "⚠ |" in line]
    assert sorted(set(marked)) == ["few", "moved"]
    table = pd.read_csv(tmp_path / "out" / "leaderboard.csv")
    assert set(table.loc[~table["comparable"], "run"]) == {"few", "moved"}
    order = [line.split("|")[1].strip() for line in markdown.splitlines() if "| noise" in line]
    assert set(order[-4:]) == {"few", "moved"}
    assert "few" not in (tmp_path / "out" / f"curves_{TASK}.svg").read_text()
    head = next(line for line in markdown.splitlines() if line.startswith("| run"))
    assert "| accuracy | questions |" in head


@pytest.mark.slow
def test_damaged_runs_are_named_and_the_others_make_the_board(tmp_path):
    runs = tmp_path / "runs"
    random_run(runs / "good", seed=1)
    random_run(runs / "strength", seed=2, config={"settings": STRENGTH | {"noise_std": "much"}})
    random_run(runs / "count", seed=3, config={"settings": {"num_return_sequences": "many"}})
    random_run(runs / "beams", seed=4, config={"settings": {"num_beams": "two"}})
    parameters = random_run(runs / "parameters", seed=5)
    edit(parameters, lambda content: content["config"].update(model_num_parameters="1000"))
    odd = random_run(runs / "odd", seed=6)
    edit(odd, lambda content: content["config"]["latent_tts"].update(backbone="\ud800"))
    endless = random_run(runs / "endless", seed=8)
    edit(endless, lambda content: content["results"][TASK].update({"pass@1,none": math.inf}))
    copied = log_of(random_run(runs / "copied", seed=7))
    lines = copied.read_text().splitlines(keepends=True)
    copied.write_text("".join([lines[0], *lines[:1], *lines[2:]]))
    done = run_command(runs, "--output", tmp_path / "out")
    said = {
        re.search(r"/runs/(\w+)/", line)[1]: line.split(": ")[0]
        for line in done.stderr.splitlines()
    }
    assert said == {
        "strength": "left out",
        "odd": "left out",
        "parameters": "left out",
        "count": "left out",
        "copied": "note",
    }
    table = pd.read_csv(tmp_path / "out" / "leaderboard.csv")
    assert set(table["run"]) == {"good", "endless", "beams", "copied"}
    assert set(table.loc[table["page"].isna(), "run"]) == {"copied"}


@pytest.mark.slow
def test_run_pages_of_an_earlier_build_go(tmp_path):
    for name in ("old", "new"):
        random_run(tmp_path / name, seed=len(name) + ord(name[0]))
    build_board([tmp_path / "old"], tmp_path / "out")
    (tmp_path / "out" / "runs" / "mine.html").touch()
    board = build_board([tmp_path / "new"], tmp_path / "out")
    (slug,) = board.rows["page"].unique()
    files = {path.name for path in (tmp_path / "out" / "runs").iterdir()}
    assert files == {f"{slug}.html", f"{slug}.js", "mine.html"}


@pytest.mark.slow
def test_a_reward_model_has_a_column_where_any_run_has_one(tmp_path):
    random_run(tmp_path / "runs" / "plain", seed=1)
    random_run(
        tmp_path / "runs" / "scored",
        seed=2,
        rewards=True,
        config={"reward_model": {"name": "my|rm"}},
    )
    build_board([tmp_path / "runs"], tmp_path / "out")
    rows = [
        line
        for line in (tmp_path / "out" / "leaderboard.md").read_text().splitlines()
        if line.startswith("|")
    ]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {16}
    assert "| sampler | reward model | seed |" in rows[0]
    assert {row.split(" | ")[4] for row in rows[2:]} == {"–", r"my\|rm"}

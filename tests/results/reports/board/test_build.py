"""What `latent-tts leaderboard` writes, and what it says of input that it cannot use."""

import csv
import hashlib
import re
from xml.etree import ElementTree

import pandas as pd
import pytest
from click.testing import CliRunner
from PIL import Image

from latent_tts.harness.commands.leaderboard import leaderboard
from latent_tts.results import ResultsError
from latent_tts.results.reports.board import build, build_board
from latent_tts.results.reports.board.templating import ASSETS, in_markdown
from tests.results.made import edit, log_of
from tests.results.reports.board.random_runs import random_run

HARD = {"task": "latent_tts_arith_hard", "date": "2030-01-02T03-04-06.000000"}


@pytest.fixture(scope="module")
def board(tmp_path_factory):
    """A board of three runs, one of them of two tasks."""
    folder = tmp_path_factory.mktemp("board")
    random_run(folder / "runs" / "noise", seed=1, skill=0.6)
    random_run(folder / "runs" / "noise", seed=2, skill=0.2, config=HARD)
    dropout = {"settings": {"latent_do_sample_by": "dropout", "dropout_p": 0.2}}
    random_run(folder / "runs" / "$x_i$ | <b>", seed=3, config=dropout)
    random_run(folder / "runs" / "_greedy", seed=4, samples=1)
    return build_board([folder / "runs"], folder / "out")


def test_the_csv_holds_every_row(board):
    table = pd.read_csv(board.folder / "leaderboard.csv")
    assert not board.problems
    pd.testing.assert_frame_equal(table[["run", "n"]], board.rows[["run", "n"]], check_dtype=False)
    assert table["accuracy"].tolist() == pytest.approx(board.rows["accuracy"].tolist())
    with (board.folder / "leaderboard.csv").open() as file:
        assert {row["n"] for row in csv.DictReader(file)} == {"1", "2", "4", "8"}


def test_the_markdown_has_a_table_for_each_task_and_no_cell_breaks_it(board):
    text = (board.folder / "leaderboard.md").read_text()
    heads = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert heads == [r"latent\_tts\_arith", r"latent\_tts\_arith\_hard"]
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {15}
    assert "reward model" not in text
    assert r"$x\_i$ \| \<b\>" in text
    best = board.rows[board.rows["full"]].iloc[0]
    assert f"{100 * best.accuracy:.1f} ± {100 * best.accuracy_stderr:.1f} |" in rows[2]
    assert f"| coconut | tiny | {best.sampler} {best.strength:g} | {best.seed} | {best.n} |" in text


def test_every_run_of_a_task_has_its_page_and_data(board):
    pages = board.rows["page"].unique()
    assert len(pages) == 4
    for page in pages:
        assert re.fullmatch(r"[\w.-]+", page)
        text = (board.folder / "runs" / f"{page}.html").read_text()
        assert f'<script src="{page}.js">' in text
        assert (board.folder / "runs" / f"{page}.js").stat().st_size > 1000
        for name in re.findall(r'(?:src|href)="\.\./([^"]+)"', text):
            assert (board.folder / name).is_file(), name
    (own, sibling) = board.rows.loc[board.rows["run"] == "noise", "page"].unique()
    assert f'href="{sibling}.html"' in (board.folder / "runs" / f"{own}.html").read_text()


def test_the_leaderboard_itself_is_one_file(board):
    text = (board.folder / "index.html").read_text()
    text = re.sub(r"<(script|style)([^>]*)>.*?</\1>", r"<\1\2>", text, flags=re.DOTALL)
    assert text.count("<script>") == 8
    assert not re.search(r"<[^>]+ src=|<link[^>]+stylesheet", text)
    linked = [link for link in re.findall(r'<a href="([^"]+)"', text) if "://" not in link]
    assert len(linked) == 6
    assert all((board.folder / link).is_file() for link in linked)
    assert "default-src 'none'" in text


def test_pictures_show_each_task_with_names_as_they_are(board):
    for task in ("latent_tts_arith", "latent_tts_arith_hard"):
        with Image.open(board.folder / f"curves_{task}.png") as image:
            image.load()
            assert min(image.size) >= 400
        root = ElementTree.parse(board.folder / f"curves_{task}.svg").getroot()
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
    drawn = (board.folder / "curves_latent_tts_arith.svg").read_text()
    for label in ("$x_i$ | &lt;b&gt;, voting", "_greedy, first", "noise, voting"):
        assert label in drawn


@pytest.mark.slow
def test_the_same_runs_give_the_same_bytes_on_two_processes(board, tmp_path, monkeypatch):
    monkeypatch.setattr(build, "_WORTH_A_PROCESS", 0)
    again = build_board([board.folder.parent / "runs"], tmp_path / "out", processes=2)
    files = sorted(path.relative_to(again.folder) for path in again.folder.rglob("*.*"))
    assert len(files) == 8 + 2 * 4 + 3 + 2 * 2  # shared, pages, the board, pictures
    for file in files:
        assert (again.folder / file).read_bytes() == (board.folder / file).read_bytes(), file


def test_vendored_libraries_are_what_the_licence_file_says():
    table = (ASSETS / "LICENSES.md").read_text()
    rows = re.findall(r"^\| ([\w.-]+\.(?:js|css)) \|.* \| ([0-9a-f]{64}) \|", table, re.MULTILINE)
    assert {name for name, _ in rows} == {path.name for path in ASSETS.glob("*.min.*")}
    for name, digest in rows:
        assert hashlib.sha256((ASSETS / name).read_bytes()).hexdigest() == digest, name


def run_command(*arguments):
    return CliRunner().invoke(leaderboard, list(map(str, arguments)), catch_exceptions=False)


@pytest.mark.slow
def test_bad_input_is_named_and_the_rest_makes_the_board(tmp_path):
    runs = tmp_path / "runs"
    random_run(runs / "good", seed=1)
    random_run(runs / "again", seed=1, config={"date": "2030-01-01T00-00-00.000000"})
    torn = log_of(random_run(runs / "torn", seed=2))
    torn.write_text(torn.read_text()[:-50])
    theirs = random_run(runs / "theirs", seed=3)
    edit(theirs, lambda content: content["config"].pop("latent_tts"))
    edit(theirs, lambda content: content["results"].update(latent_tts_arith={"acc,none": 1.0}))
    random_run(runs / "old", seed=4, config={"version": 0.5, "date": "2029-01-01T00-00-00.000000"})
    damaged = log_of(random_run(runs / "damaged", seed=5))
    lines = damaged.read_text().splitlines(keepends=True)
    damaged.write_text("".join([*lines[:3], "{}\n", *lines[4:]]))
    done = run_command(runs, "--output", tmp_path / "out")
    assert done.exit_code == 0
    assert f"{tmp_path / 'out' / 'index.html'}: 2 runs, 5 problems" in done.stdout
    page = (tmp_path / "out" / "index.html").read_text()
    markdown = (tmp_path / "out" / "leaderboard.md").read_text()
    for name, label, reason in (
        ("again", "left out", "was run again with the same settings"),
        ("torn", "left out", "was cut off"),
        ("theirs", "left out", "no task of this project"),
        ("old", "left out", "of version 0.5"),
        ("damaged", "note", ":4 cannot be read"),
    ):
        (line,) = [line for line in done.stderr.splitlines() if f"/{name}/" in line.split(": ")[1]]
        assert line.startswith(f"{label}: ")
        assert reason in line
        assert reason in page
        assert reason in markdown.replace("\\", "")
    table = pd.read_csv(tmp_path / "out" / "leaderboard.csv")
    assert set(table["run"]) == {"good", "damaged"}
    assert set(table.loc[table["page"].isna(), "run"]) == {"damaged"}


def test_a_board_of_nothing_is_refused_with_the_reasons(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ResultsError, match=r"No run can be read(.|\n)*no results_<date>.json"):
        run_command(tmp_path / "empty", "--output", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_output_must_not_be_a_file(tmp_path):
    (tmp_path / "file").touch()
    done = run_command(tmp_path, "--output", tmp_path / "file")
    assert done.exit_code == 2
    assert "is a file" in done.stderr


def test_markdown_is_escaped():
    assert in_markdown("a|b\n`c`*") == r"a\|b \`c\`\*"

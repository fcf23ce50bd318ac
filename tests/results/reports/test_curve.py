"""Curves of coverage and voting against N, and the command that draws them."""

import io
import statistics
from itertools import combinations
from xml.etree import ElementTree

import pandas as pd
import pytest
from click.testing import CliRunner
from PIL import Image

from latent_tts.harness.commands.curve import curve
from latent_tts.results import ResultsError, collect, curve_table
from tests.results.made import make_pool, write_run

ANSWERS = [
    ["5", "4", "4", "5"],
    [None, "7", "6", "6"],
    ["1", None, None, None],
    ["2", "2", "2", "2"],
]
GOLDS = ["5", "7", "1", "3"]


def vote(answers):
    """The most frequent answer, of tied ones the earliest; None does not vote."""
    given = [answer for answer in answers if answer is not None]
    return max(given, key=lambda answer: (given.count(answer), -given.index(answer)), default=None)


def share(answers, k, right):
    """The share of all subsets of k answers, kept in order, that are right."""
    subsets = list(combinations(answers, k))
    return sum(map(right, subsets)) / len(subsets)


def by_hand(k):
    """Mean and standard error of coverage and of voting with k samples, by enumeration."""
    numbers = []
    for what in (lambda subset, gold: gold in subset, lambda subset, gold: vote(subset) == gold):
        each = [
            share(answers, k, lambda subset, what=what, gold=gold: what(subset, gold))
            for answers, gold in zip(ANSWERS, GOLDS, strict=True)
        ]
        numbers += [statistics.mean(each), statistics.stdev(each) / len(each) ** 0.5]
    return numbers


NUMBERS = ["coverage", "coverage_stderr", "voting", "voting_stderr"]


def make_run(folder, answers):
    """A run of these answers, as it is read."""
    rows = [(gold, make_pool(*own)) for gold, own in zip(GOLDS, answers, strict=True)]
    write_run(folder, rows, task="a_task")
    return collect([folder])[0][0]


@pytest.mark.parametrize("ks", [None, (1, 2, 3, 4)])
def test_the_table_is_what_enumeration_gives(tmp_path, ks):
    table = curve_table(make_run(tmp_path / "a run", ANSWERS), ks)
    assert table["k"].tolist() == [1, 2, 4] if ks is None else list(ks)
    for row in table.to_dict("records"):
        assert [row[name] for name in NUMBERS] == pytest.approx(by_hand(row["k"]))
        assert (row["task"], row["run"], row["questions"]) == ("a_task", "a run", 4)


def test_pools_of_several_sizes_have_a_curve_up_to_the_smallest(tmp_path):
    table = curve_table(make_run(tmp_path, [*ANSWERS[:3], ["2", "2"]]))
    assert table["k"].tolist() == [1, 2]


@pytest.fixture
def runs(tmp_path):
    """Two runs' folders; in the first an older log lies beside the newest."""
    rows = [(g, make_pool(*a)) for g, a in zip(GOLDS, ANSWERS, strict=True)]
    write_run(tmp_path / "noise", rows[:2], date="2029-01-01T00-00-00.0")
    write_run(tmp_path / "noise", rows)
    hard = {"task": "latent_tts_arith_hard", "date": "2030-01-03T00-00-00.0"}
    write_run(tmp_path / "noise", rows[:1], **hard)
    write_run(tmp_path / "dropout", rows[::-1], settings={"latent_do_sample_by": "dropout"})
    return tmp_path


def run_curve(*arguments):
    return CliRunner().invoke(curve, list(map(str, arguments)), catch_exceptions=False)


@pytest.mark.slow
def test_the_command_prints_the_table_and_draws(runs):
    picture = runs / "pictures" / "curve.png"
    done = run_curve(runs / "noise", runs / "dropout", "--output", picture)
    assert done.exit_code == 0
    table = pd.read_csv(io.StringIO(done.stdout), sep=r"\s+")
    assert table["run"].tolist() == ["noise"] * 3 + ["dropout"] * 3
    assert table["k"].tolist() == [1, 2, 4] * 2
    assert set(table["questions"]) == {4}
    for row in table.to_dict("records"):
        assert [row[name] for name in NUMBERS] == pytest.approx(by_hand(row["k"]), abs=5e-5)
    with Image.open(picture) as image:
        image.load()
        assert image.format == "PNG"
        assert min(image.size) >= 400
        assert len(image.convert("RGB").getcolors(maxcolors=1 << 20)) > 10


@pytest.mark.slow
def test_a_vector_picture_names_its_lines(runs):
    picture = runs / "curve.svg"
    assert run_curve(runs / "noise", runs / "dropout", "--output", picture).exit_code == 0
    root = ElementTree.parse(picture).getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    text = picture.read_text()
    for label in ("coverage", "voting", "noise", "dropout", "samples per question, N"):
        assert label in text


def test_another_task_is_asked_for_by_name(runs):
    arguments = (runs / "noise", "--output", runs / "curve.png", "--task", "latent_tts_arith_hard")
    done = run_curve(*arguments)  # of one question, so without standard errors
    assert done.exit_code == 0
    assert "latent_tts_arith_hard" in done.stdout
    assert (runs / "curve.png").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["noise", "--output", "curve.png", "--task", "gsm8k"],
            r"holds no run of gsm8k that can be used: it has latent_tts",
        ),
        (["empty", "--output", "curve.png"], r"empty: no results_<date>.json below it"),
        (["noise", "--output", "curve.txt"], r"curve.txt' must end in .png or .svg"),
    ],
)
def test_what_cannot_be_drawn_is_refused(runs, monkeypatch, arguments, message):
    (runs / "empty").mkdir()
    monkeypatch.chdir(runs)
    with pytest.raises(ResultsError, match=message):
        run_curve(*arguments)
    assert not list(runs.glob("curve.*"))


def test_a_log_that_was_cut_off_draws_nothing(runs):
    file = next((runs / "dropout").rglob("*.jsonl"))
    file.write_text(file.read_text()[:-5])
    with pytest.raises(ResultsError, match=rf"{file.name} was cut off"):
        run_curve(runs / "noise", runs / "dropout", "--output", runs / "curve.png")
    assert not (runs / "curve.png").exists()


def test_a_curve_has_the_tolerance_of_its_task(tmp_path):
    rows = [(gold, make_pool(f"{gold}.5", "100")) for gold in GOLDS]
    write_run(tmp_path, rows, metadata={"tolerance": 0.5})
    done = run_curve(tmp_path, "--output", tmp_path / "curve.png")
    table = pd.read_csv(io.StringIO(done.stdout), sep=r"\s+")
    assert table["coverage"].tolist() == [0.5, 1.0]


def test_a_missing_folder_is_refused_by_the_command_line(tmp_path):
    done = run_curve(tmp_path / "nowhere", "--output", "curve.png")
    assert done.exit_code == 2
    assert "does not exist" in done.stderr

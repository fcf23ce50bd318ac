"""Runs and candidates as pandas tables."""

import subprocess
import sys

import pytest

from latent_tts.results import ResultsError, candidates, runs
from tests.results.made import log_of, make_pool, write_run


@pytest.fixture
def folder(tmp_path):
    rows = [("5", make_pool("5", "4", rewards=[0.5, None])), ("7", make_pool("6", None))]
    write_run(tmp_path / "one", rows, metadata={"tolerance": 1})
    return tmp_path


def test_a_row_is_a_strategy_with_so_many_samples(folder):
    table = runs(folder)
    assert set(table["run"]) == {"one"}
    voting = table[table["aggregation"] == "voting"].set_index("n")["accuracy"]
    assert voting.to_dict() == {1: 0.75, 2: 1.0}


def test_a_row_is_a_candidate(folder):
    table = candidates(str(folder))
    assert table["question"].tolist() == ["q0", "q0", "q1", "q1"]
    assert table["index"].tolist() == [0, 1, 0, 1]
    assert table["right"].tolist() == [True, True, True, False]
    assert table["reward"].fillna(-1).tolist() == [0.5, -1, -1, -1]


def test_a_folder_without_runs_is_refused(tmp_path):
    with pytest.raises(ResultsError, match=r"holds no run: .*no results_<date>\.json below it"):
        runs(tmp_path)


@pytest.mark.slow
def test_no_drawing_and_no_torch_is_imported_with_the_face():
    code = (
        "import sys, latent_tts.results; print({'torch', 'vl_convert', 'jinja2'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_candidates_of_a_folder_without_runs_are_refused(tmp_path):
    with pytest.raises(ResultsError, match=r"holds no run: .*no results_<date>\.json below it"):
        candidates(tmp_path)


@pytest.mark.parametrize("read", [runs, candidates])
def test_what_is_left_out_is_a_warning(folder, read):
    rows = [("5", make_pool("5", "4"))]
    cut = log_of(write_run(folder / "cut", rows, settings={"noise_std": 2.0}))
    cut.write_text("")
    with pytest.warns(UserWarning, match="was cut off or added to: 0 lines"):
        table = read(folder)
    assert set(table["run"]) == {"one"}

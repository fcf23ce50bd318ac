"""CSV that a spreadsheet shows and never computes."""

import io

import pandas as pd
import pytest

from latent_tts.results.csv_text import csv_text
from latent_tts.results.reports.board import build_board
from tests.results.reports.board.random_runs import random_run

FORMULAS = [
    *("=1+1", "=HYPERLINK(1)", "+1", "+SUM(A1)", "@SUM(A1)", "\t=1", "\r=1", "\r\n=1", "\n=1"),
    *("-SUM(A1)", "-1+cmd|' /C calc'!A0", "--1", "-", "- 1 2", "-1e"),
]
HARMLESS = ["", "a", "a,b", 'a"b', "a\n=1", "-1", "-0.5", "-.5", "- 3", "-1e-5", "1=1", "a@b"]
HARMLESS += ["'", " x", "0", "é"]


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_is_a_text(text):
    (row,) = read(csv_text(pd.DataFrame({"name": [text]}))).itertuples(index=False)
    expected = f"'{text}".replace("\r\n", "\n").replace("\r", "\n")
    assert row.name == expected
    assert list(read(csv_text(pd.DataFrame({text: ["x"]})))) == [expected]


@pytest.mark.parametrize("text", HARMLESS)
def test_other_texts_stay(text):
    assert read(csv_text(pd.DataFrame({"name": [text], "b": ["x"]})))["name"].tolist() == [text]


def test_numbers_stay():
    table = pd.DataFrame({"a": [-1.5, 2.0], "b": [-1, 3], "c": [None, "x"], "d": [-1, "=x"]})
    assert csv_text(table) == "a,b,c,d\n-1.5,-1,,-1\n2.0,3,x,'=x\n"
    assert csv_text(table[["a"]], float_format="%.2f") == "a\n-1.50\n2.00\n"


def read(text):
    return pd.read_csv(io.StringIO(text, newline=""), dtype=str, keep_default_na=False)


@pytest.mark.slow
def test_the_boards_table_computes_nothing(tmp_path):
    for seed, name in enumerate(("=1+1", "@SUM(A1)", "ä")):
        random_run(tmp_path / "runs" / name, seed=seed)
    board = build_board([tmp_path / "runs"], tmp_path / "board")
    cells = read((board.folder / "leaderboard.csv").read_text()).to_numpy().tolist()
    texts = {cell for row in cells for cell in row}
    assert any(text.startswith("'=") for text in texts)
    assert not any(text.startswith(("=", "@", "+")) for text in texts)

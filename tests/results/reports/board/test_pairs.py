"""Paired differences of the board's rows against `compare`'s, computed from the logs."""

import json

import pytest

from latent_tts.results.reports.board import build, build_board, pairs
from latent_tts.results.reports.board.pages import Page
from latent_tts.results.reports.compare import compare_sides
from latent_tts.results.runs import collect
from latent_tts.results.runs.align import build_sides
from tests.results.made import edit, log_of
from tests.results.reports.board.random_runs import random_run, rewrite

TASK = "latent_tts_arith"


def pairs_of(board):
    """Return (row, row) -> its pair, as the page reads them."""
    text = (board.folder / "index.html").read_text().split('id="pairs">')[1].split("</script>")[0]
    table = json.loads(text)[TASK]
    keys, found = table["rows"], iter(table["pairs"])
    return {(a, b): next(found) for i, a in enumerate(keys) for b in keys[i + 1 :]}


def key_of(board, run, metric):
    rows = board.rows
    (key,) = rows.index[(rows["run"] == run) & (rows["metric"] == metric)]
    return key


@pytest.mark.slow
def test_any_two_rows_pair_as_compare_says(tmp_path):
    for seed, name in enumerate(("one", "two")):
        random_run(tmp_path / "runs" / name, seed=seed, skill=0.4 + 0.3 * seed)
    board = build_board([tmp_path / "runs"], tmp_path / "out")
    found = pairs_of(board)
    assert len(found) == 10 * 9 / 2  # two runs of voting at 1, 2, 4 and 8, and of `first`
    runs, _ = collect([tmp_path / "runs"])
    comparison = compare_sides(build_sides([[run] for run in runs]))
    for row in comparison.metrics:
        if not row.metric.startswith("voting@"):
            continue
        keys = [key_of(board, run.name, row.metric) for run in runs]
        pair = found.get(tuple(keys)) or turned(found[tuple(keys[::-1])])
        ends = [row.paired.difference, row.paired.low, row.paired.high]
        assert pair[:3] == pytest.approx([100 * end for end in ends], abs=0.0501)
        assert pair[3:] == ([row.mcnemar.only_a, row.mcnemar.only_b] if row.mcnemar else [])


def turned(pair):
    difference, low, high, *counts = pair
    return [-difference, -high, -low, *counts[::-1]]


def test_runs_of_other_golds_are_not_paired_though_their_hash_is_unknown(tmp_path):
    for seed, name in enumerate(("one", "two", "other")):
        results = random_run(tmp_path / "runs" / name, seed=seed, samples=1)
        edit(results, lambda content: content.pop("task_hashes"))
    rewrite(log_of(results), lambda index, sample: sample.update(target="0"))
    board = build_board([tmp_path / "runs"], tmp_path / "out")
    one, two, other = (key_of(board, name, "pass@1") for name in ("one", "two", "other"))
    found = {frozenset(keys): pair for keys, pair in pairs_of(board).items()}
    assert found[frozenset((one, two))] is not None
    assert found[frozenset((one, other))] is found[frozenset((two, other))] is None


@pytest.mark.slow
def test_the_best_rows_are_paired_where_there_are_too_many(tmp_path, monkeypatch):
    monkeypatch.setattr(pairs, "MOST_ROWS", 3)
    random_run(tmp_path / "runs" / "one")
    random_run(tmp_path / "runs" / "two", seed=1)
    board = build_board([tmp_path / "runs"], tmp_path / "out")
    assert {key for keys in pairs_of(board) for key in keys} == {0, 1, 2}
    assert board.rows["full"][:3].all()


@pytest.mark.slow
def test_a_run_without_a_page_is_not_paired(tmp_path):
    random_run(tmp_path / "runs" / "one")
    rows = build_board([tmp_path / "runs"], tmp_path / "out").rows
    assert build.paired_rows(rows, {})[TASK] == {"rows": [], "pairs": []}
    assert build.paired_rows(rows, {("one", TASK): Page()})[TASK]["pairs"] == []

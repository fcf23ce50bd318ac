"""Rows of the leaderboard against the metrics that lm-eval reported."""

import math
from dataclasses import replace

import pytest

from latent_tts.results import Estimate, collect
from latent_tts.results.reports.board import board_rows
from latent_tts.results.reports.board.rows import full_strategies
from tests.results.made import add_metric, edit
from tests.results.reports.board.random_runs import best_of_n, random_run

# Of leaderboard.csv, which other programs read.
COLUMNS = [
    "run",
    "task",
    "backbone",
    "checkpoint",
    "sampler",
    "strength",
    "reward_model",
    "seed",
    "n",
    "aggregation",
    "accuracy",
    "accuracy_stderr",
    "coverage",
    "coverage_stderr",
    "questions",
    "comparable",
    "thoughts",
    "answer_tokens",
    "tokens",
    "flops",
    "samples_per_second",
    "unparsed",
    "truncated",
    "parameters",
    "date",
    "full",
    "asked",
    "metric",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    add_metric(random_run(folder / "ranked", rewards=True), "best_of_n@8", best_of_n)
    random_run(folder / "greedy", samples=1, seed=1)
    return folder


@pytest.fixture(scope="module")
def runs(folder):
    runs, problems = collect([folder])
    assert not problems
    return {run.name: run for run in runs}


def only(rows, **values):
    """The single row that has these values."""
    for name, value in values.items():
        rows = rows[rows[name] == value]
    (row,) = rows.to_dict("records")
    return row


@pytest.mark.parametrize("k", [1, 2, 4, 8])
def test_a_row_repeats_what_lm_eval_reported(runs, k):
    run = runs["ranked"]
    rows = board_rows(runs.values())
    assert list(rows.columns) == COLUMNS
    row = only(rows, run="ranked", aggregation="voting", n=k)
    assert (row["accuracy"], row["accuracy_stderr"]) == run.metrics[f"voting@{k}"]
    assert (row["coverage"], row["coverage_stderr"]) == run.metrics[f"pass@{k}"]
    assert row["full"] == (k == 8)
    assert (row["sampler"], row["strength"], row["questions"]) == ("noise", 0.6, 12)


def test_compute_is_counted_by_hand(runs):
    row = only(board_rows(runs.values()), run="ranked", aggregation="voting", n=4)
    each = sum(runs["ranked"].mean(name) for name in ("thoughts", "answer_tokens"))
    assert row["tokens"] == pytest.approx(4 * each)
    assert row["flops"] == pytest.approx(2 * 1000 * 4 * each)  # of a model of 1,000 parameters
    assert row["samples_per_second"] == 12 * 8 / 2.0


def test_a_single_candidate_is_one_row_that_nothing_aggregates(runs):
    rows = board_rows([runs["greedy"]])
    (row,) = rows.to_dict("records")
    assert (row["aggregation"], row["n"], row["full"]) == ("first", 1, True)
    assert row["accuracy"] == runs["greedy"].metrics["pass@1"].value
    assert full_strategies(runs["greedy"]) == {"first": "pass@1"}


def test_any_family_at_k_is_an_aggregation_of_its_name(runs):
    row = only(board_rows(runs.values()), run="ranked", aggregation="best_of_n", n=8)
    assert row["accuracy"] == runs["ranked"].metrics["best_of_n@8"].value
    assert (row["n"], row["full"]) == (8, True)
    found = full_strategies(runs["ranked"])
    assert found["voting"] == "voting@8"
    assert found["best_of_n"] == "best_of_n@8"


def with_metric(run, name, **settings):
    return replace(
        run,
        metrics={**run.metrics, name: Estimate(0.75, 0.1)},
        higher_is_better={name: True},
        config=replace(run.config, settings={**run.config.settings, **settings}),
    )


def test_a_scalar_that_judges_is_an_aggregation_of_unknown_cost(runs):
    run = with_metric(runs["ranked"], "oracle")
    row = only(board_rows([run]), aggregation="oracle")
    assert (row["accuracy"], row["n"], row["full"]) == (0.75, 8, True)
    assert math.isnan(row["tokens"])
    assert math.isnan(row["coverage"])
    shares = {"unparsed", "truncated", "thoughts", "answer_tokens"}
    assert not shares & set(board_rows([run])["aggregation"])


@pytest.mark.parametrize(
    ("settings", "n", "answers"),
    [({"num_beams": 2, "num_beam_candidates": 3}, 6, 2), ({}, 8, 8), ({"num_beams": None}, 8, 8)],
)
def test_beams_cost_the_thoughts_of_all_their_candidates(runs, settings, n, answers):
    run = with_metric(runs["ranked"], "beam_search", **settings)
    row = only(board_rows([run]), aggregation="beam_search")
    assert (row["n"], row["full"]) == (n, True)
    assert row["tokens"] == pytest.approx(
        n * run.mean("thoughts") + answers * run.mean("answer_tokens")
    )
    assert math.isnan(row["coverage"])
    assert math.isnan(row["coverage_stderr"])


def test_what_is_unknown_is_empty(runs):
    known = runs["ranked"]
    run = replace(known, metrics={"voting@2": Estimate(0.5, None)}, throughput=None)
    (row,) = board_rows([run]).to_dict("records")
    for name in ("accuracy_stderr", "coverage", "thoughts", "tokens", "samples_per_second"):
        assert math.isnan(row[name]), name


def test_rows_with_all_candidates_lead_the_best_first(runs):
    rows = board_rows(runs.values())
    whole = rows[rows["full"]]
    assert whole.index.tolist() == list(range(len(whole)))
    assert whole["accuracy"].is_monotonic_decreasing


def test_the_largest_k_counts_where_a_run_reports_few(folder, runs, tmp_path):
    results = random_run(tmp_path / "few", seed=2)
    edit(results, lambda content: drop_metrics(content, keep={"voting@2", "pass@2", "pass@1"}))
    run = collect([tmp_path])[0][0]
    assert full_strategies(run) == {"voting": "voting@2"}


def drop_metrics(content, keep):
    for numbers in content["results"].values():
        for name in [name for name in numbers if "@" in name]:
            if name.split(",")[0].replace("_stderr", "") not in keep:
                del numbers[name]

"""What metrics' names say."""

import pytest

from latent_tts.results import ResultsError
from latent_tts.results.runs.metrics import (
    find_metric,
    is_accuracy,
    judged_by,
    largest_k,
    strategies_at_most,
)


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("pass@1", ("first", 1, False)),
        ("pass@2", None),
        ("coverage@4", None),
        ("voting@4", ("voting", 4, True)),
        ("best_of_n@1", ("best_of_n", 1, True)),
        ("beam_search", ("beam_search", None, False)),
        ("of_another_package@8", ("of_another_package", 8, True)),
        ("unparsed", None),
        ("exact_match", None),
    ],
)
def test_the_strategy_that_a_metric_judges(metric, expected):
    assert judged_by(metric) == expected


def test_each_strategy_has_its_metric_with_the_most_candidates():
    names = ["pass@1", "pass@16", "voting@16", "voting@4", "coverage@16", "beam_search", "x@2"]
    assert strategies_at_most(names) == {
        "first": "pass@1",
        "voting": "voting@16",
        "beam_search": "beam_search",
        "x": "x@2",
    }
    assert largest_k(names) == 16
    assert largest_k(["unparsed"]) == 1


def test_shares_of_what_went_wrong_are_no_accuracy():
    names = ["pass@1", "x@3", "beam_search", "unparsed", "unscored", "thoughts"]
    assert [is_accuracy(name) for name in names] == [True, True, True, False, False, False]


def test_coverage_with_some_of_the_candidates_is_pass():
    metrics = ["pass@1", "pass@2", "coverage@2", "voting@2"]
    found = [find_metric(name, metrics, where="a") for name in ("coverage@1", "coverage@2")]
    assert found == ["pass@1", "coverage@2"]
    with pytest.raises(ResultsError, match="no metric 'coverage@3'"):
        find_metric("coverage@3", metrics, where="a")

"""The table of strategies: names, what each picks, and strategies of other packages."""

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from latent_tts.tasks import (
    STRATEGIES,
    Candidate,
    Pool,
    TaskError,
    find_strategy,
    judge_pool,
    strategy_of,
)
from tests.marks import slow_but

DOCS = Path(__file__).parents[3] / "docs" / "backbones-and-samplers.md"
(EXAMPLE,) = re.findall(
    r"```python\n((?:(?!```).)*class RunnerUp.*?)```", DOCS.read_text("utf-8"), re.DOTALL
)
_names: dict[str, Any] = {}
exec(EXAMPLE, _names)
RunnerUp = _names["RunnerUp"]


def make_pool(*answers):
    return Pool(
        tuple(
            Candidate(text=f"{i}", answer=answer, thoughts=6, answer_tokens=i, truncated=False)
            for i, answer in enumerate(answers)
        )
    )


def test_the_table():
    assert list(STRATEGIES) == ["first", "voting", "best_of_n", "weighted_voting", "beam_search"]
    for name, strategy in STRATEGIES.items():
        assert strategy.name == name
        assert find_strategy(name) is strategy


@pytest.mark.parametrize(
    ("name", "strategy"),
    [
        ("majority", "voting"),
        ("voting@16", "voting"),
        ("pass@1", "first"),
        ("weighted", "weighted_voting"),
        ("weighted_voting@4", "weighted_voting"),
        ("best_of_n@64", "best_of_n"),
    ],
)
def test_every_name_that_a_report_prints_finds_its_strategy(name, strategy):
    assert find_strategy(name) is STRATEGIES[strategy]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("majorty", r"'majorty'; there are first, voting, .*\. Did you mean majority\?$"),
        ("mode", r"no aggregation is called 'mode'; there are [a-z_, ]+\.$"),
        ("pass@4", "'pass@4' would need to know the right answer"),
        ("coverage@64", "'coverage@64' would need to know the right answer"),
        ("beam_search@2", r"Did you mean beam_search\?"),
        (None, "no aggregation is called None"),
    ],
)
def test_other_names_are_refused(name, message):
    with pytest.raises(TaskError, match=message):
        find_strategy(name)


def test_metrics_name_their_strategy_and_k():
    assert strategy_of("voting@16") == (STRATEGIES["voting"], 16)
    assert strategy_of("pass@1") == (STRATEGIES["first"], 1)
    assert strategy_of("beam_search") == (STRATEGIES["beam_search"], None)
    assert strategy_of("pass@2") is strategy_of("unparsed") is strategy_of("majority@2") is None


def test_first_is_the_first_whatever_it_says():
    pool = make_pool(None, "7")
    assert find_strategy("first").pick(pool) is pool.candidates[0]


@pytest.mark.parametrize(
    ("answers", "winner"),
    [
        (["7", "18", "18.0"], 1),
        (["7", "8", "8", "7"], 0),
        ([None, None, "7"], 2),
        ([None, "", "  ", "x"], 3),
        ([r"\pi", "x", r" \pi"], 0),
        ([r"\pi", "3", r" \pi"], 1),
        (["$1,000", "7", "1000"], 0),
        ([None, ""], None),
    ],
)
def test_the_vote_is_won_by_the_earliest_candidate_of_the_most_frequent_answer(answers, winner):
    pool = make_pool(*answers)
    chosen = find_strategy("voting").pick(pool)
    assert chosen is (None if winner is None else pool.candidates[winner])


def test_an_estimate_without_a_formula_is_the_share_of_subsets():
    answers = ["2", "1", "1", "3", "2", None, "2"]
    second = RunnerUp()
    values = second.at_k(judge_pool(make_pool(*answers), "1"), [1, 3, 7])
    for k, value in values.items():
        subsets = list(combinations(answers, k))
        chosen = [second.pick(make_pool(*subset)) for subset in subsets]
        right = sum(candidate is not None and candidate.answer == "1" for candidate in chosen)
        assert value == right / len(subsets)
    assert values[1] == 0.0
    assert values[7] == 1.0


def test_a_strategy_without_k_has_one_value_at_n():
    class Once(RunnerUp):
        has_k = False

    assert Once().at_k(judge_pool(make_pool("2", "1", "2"), "1"), [1, 2, 3]) == {3: 1.0}
    assert Once().metric(3) == "runner_up"


OUTSIDE = """
import json
from latent_tts.tasks import STRATEGIES, Candidate, Pool, find_strategy, pool_metrics
from latent_tts.harness import filters
answers = ["1", "2", "1", "2", "1"]
pool = Pool(tuple(
    Candidate(text=f"so {a}", answer=a, thoughts=6, answer_tokens=1, truncated=False)
    for a in answers
))
print(json.dumps({
    "names": list(STRATEGIES),
    "metrics": pool_metrics(pool, "2"),
    "picked": find_strategy("runner_up@5").pick(pool).text,
    "filtered": filters.runner_up().apply([[pool.to_json()]]),
}))
"""


def install(folder: Path, points: str) -> str:
    """Write the example as an installed package and return the folder, for PYTHONPATH."""
    (folder / "outsider.py").write_text(EXAMPLE)
    about = folder / "outsider-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: outsider\nVersion: 1\n")
    (about / "entry_points.txt").write_text(f"[latent_tts.strategies]\n{points}\n")
    return str(folder)


def test_a_strategy_of_another_package_is_one_file(tmp_path, run_python):
    path = install(tmp_path, "runner_up = outsider:RunnerUp")
    found = json.loads(run_python("-c", OUTSIDE, PYTHONPATH=path).stdout)
    assert found["names"][-1] == "runner_up"
    assert found["metrics"]["runner_up@5"] == 1.0
    assert found["metrics"]["runner_up@1"] == found["metrics"]["voting@5"] == 0.0
    assert found["picked"] == "so 2"
    assert found["filtered"] == [["so 2"]]


REFUSED = [
    ("second = outsider:RunnerUp", "calls itself 'runner_up'"),
    ("second = outsider:Counter", "no Strategy"),
    ("second = outsider:Missing", "cannot be imported from 'outsider:Missing'"),
]


@pytest.mark.parametrize(("point", "message"), slow_but(REFUSED, REFUSED[0]))
def test_a_strategy_that_cannot_be_used_is_refused(tmp_path, run_python, point, message):
    path = install(tmp_path, point)
    code = "from latent_tts.tasks import find_strategy; find_strategy('second')"
    failed = run_python("-c", code, check=False, PYTHONPATH=path)
    assert message in failed.stderr
    assert "TaskError" in failed.stderr

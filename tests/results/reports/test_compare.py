"""`latent-tts compare`: numbers by hand, sides, and what cannot be paired."""

import json
import statistics

import pytest
from click.testing import CliRunner
from scipy.stats import binomtest

from latent_tts.harness.commands.compare import compare
from latent_tts.results import ResultsError
from tests.results.made import add_metric, edit, make_pool, write_run

GOLDS = ["1", "2", "3", "4"]
# First answers right: 1, 2 and 4; votes right: 1, 2.
ONE = [["1", "1", "0"], ["2", "2", "2"], ["0", "0", "3"], ["4", "0", "0"]]
# First answers right: 1; votes right: 1, 3.
TWO = [["1", "0", "1"], ["0", "0", "2"], ["0", "3", "3"], ["0", "0", "0"]]


def rows(answers, golds=GOLDS):
    return [(gold, make_pool(*a)) for gold, a in zip(golds, answers, strict=True)]


@pytest.fixture
def runs(tmp_path):
    write_run(tmp_path / "one", rows(ONE))
    write_run(tmp_path / "two", rows(TWO), settings={"latent_do_sample_by": "dropout"})
    return tmp_path


def run_compare(folder, *arguments):
    """Compare runs below a folder; return what is printed and the JSON's tasks."""
    output = folder / "out" / "compare.json"
    words = [str(folder / a) if (folder / str(a)).exists() else str(a) for a in arguments]
    done = CliRunner().invoke(compare, [*words, "--json", str(output)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done, json.loads(output.read_text())


def by_metric(rows):
    return {row["metric"]: row for row in rows}


def test_two_runs_are_paired_by_question(runs):
    done, (found,) = run_compare(runs, "one", "two")
    assert (found["task"], found["questions"]) == ("latent_tts_arith", 4)
    metrics = by_metric(found["metrics"])
    vote = metrics["voting@3"]
    assert (vote["a"], vote["b"]) == (0.5, 0.5)
    assert vote["a_stderr"] == pytest.approx(statistics.stdev([1, 1, 0, 0]) / 2)
    # Both have question 1; one alone has 2, two alone has 3.
    assert vote["mcnemar"] == {"only_a": 1, "only_b": 1, "p": 1.0}
    alone = metrics["candidate_0"]
    assert (alone["a"], alone["b"]) == (0.75, 0.25)
    assert alone["mcnemar"] == {"only_a": 2, "only_b": 0, "p": 0.5}
    assert "first" not in metrics  # everywhere else that is the mean over candidates
    assert metrics["pass@1"]["a"] == pytest.approx((2 + 3 + 1 + 1) / 12)
    assert metrics["pass@1"]["paired"]["difference"] == pytest.approx((0 + 2 - 1 + 1) / 12)
    assert metrics["pass@1"]["mcnemar"] is None
    assert metrics["unparsed"]["mcnemar"] is None  # no matter of right and wrong
    low, high = (metrics["pass@1"]["paired"][end] for end in ("low", "high"))
    assert -1 / 2 < low < 1 / 6 < high < 2 / 3
    assert "A: one (tiny; noise 0.6; N = 3; seed 1)" in done.stdout
    assert "B: two (tiny; dropout 0.05; N = 3; seed 1)" in done.stdout
    assert done.stderr == ""


def test_the_order_of_questions_does_not_matter(runs):
    order = [2, 0, 3, 1]
    write_run(
        runs / "shuffled",
        [rows(ONE)[index] for index in order],
        ids=[f"q{index}" for index in order],
        texts=[f"What is question {index}?" for index in order],
        settings={"seed": 9},
    )
    _, (found,) = run_compare(runs, "one", "shuffled")
    for row in found["metrics"]:
        paired = row["paired"]
        assert (paired["difference"], paired["stderr"], paired["questions"]) == (0, 0, 4)
        # Four questions that agree leave much open: two are added, one for each side.
        assert (paired["low"], paired["high"]) == pytest.approx((-0.461968, 0.461968), rel=1e-5)


def test_strategies_of_one_run_are_compared(runs):
    done, (found,) = run_compare(runs, "one")
    assert found["metrics"] == []
    (name, strategies), *others = found["strategies"].items()
    assert (name, others) == ("one", [])
    strategies = by_metric(strategies)
    assert list(strategies) == ["voting@3 − pass@1", "coverage@3 − voting@3"]
    # voting 1 1 0 0, pass@1 2/3 1 1/3 1/3
    assert strategies["voting@3 − pass@1"]["paired"]["difference"] == pytest.approx(-1 / 12)
    assert strategies["coverage@3 − voting@3"]["mcnemar"] == {"only_a": 2, "only_b": 0, "p": 0.5}
    assert "Strategies in one:" in done.stdout


def test_strategies_of_a_reward_model_are_compared_where_they_are_logged(runs):
    file = write_run(runs / "scored", rows(ONE), reward_model={"name": "rm"})
    add_metric(file, "best_of_n@1", lambda gold, pool: 0.0)
    add_metric(file, "best_of_n@3", lambda gold, pool: float(gold != "4"))
    add_metric(file, "beam_search", lambda gold, pool: 1.0)
    add_metric(file, "of_another_package@3", lambda gold, pool: 0.0)
    done, (found,) = run_compare(runs, "scored")
    strategies = by_metric(found["strategies"]["scored"])
    # Each against all that it should beat, a single sample against the vote alone.
    assert list(strategies) == [
        "voting@3 − pass@1",
        "best_of_n@3 − voting@3",
        "beam_search − voting@3",
        "beam_search − best_of_n@3",
        "of_another_package@3 − voting@3",
        "of_another_package@3 − best_of_n@3",
        "of_another_package@3 − beam_search",
        "coverage@3 − voting@3",
    ]
    assert strategies["best_of_n@3 − voting@3"]["paired"]["difference"] == 0.25
    assert strategies["beam_search − best_of_n@3"]["paired"]["difference"] == 0.25
    assert strategies["of_another_package@3 − voting@3"]["paired"]["difference"] == -0.5
    assert "reward model rm" in done.stdout


def test_any_metric_of_one_run_is_held_against_any_other(runs):
    _, (found,) = run_compare(runs, "one", "--a", "voting@3", "--b", "pass@1")
    (row,) = found["metrics"]
    assert row["metric"] == "voting@3 − pass@1"
    assert (row["a"], row["b"]) == (0.5, pytest.approx(7 / 12))
    assert row["paired"]["difference"] == pytest.approx(-1 / 12)
    assert found["strategies"] == {}
    _, (twice,) = run_compare(runs, "one", "one", "--a", "voting@3", "--b", "pass@1")
    assert twice["metrics"] == [row]


@pytest.mark.parametrize(
    ("named", "metric"),
    [
        ("voting", "voting@3"),
        ("majority", "voting@3"),
        ("majority@2", "voting@2"),
        ("first", "pass@1"),
        ("coverage@3", "coverage@3"),
        ("candidate_0", "candidate_0"),
    ],
)
def test_a_metric_may_be_called_by_its_strategy_s_name(runs, named, metric):
    _, (found,) = run_compare(runs, "one", "--a", named, "--b", "unparsed")
    assert found["metrics"][0]["metric"] == f"{metric} − unparsed"


def test_metrics_of_two_runs_are_paired_by_question_each_with_its_own_k(runs):
    _, (found,) = run_compare(runs, *steady(runs), "--a", "voting@3", "--b", "pass@1")
    (row,) = found["metrics"]
    assert row["metric"] == "voting@3 − pass@1"
    assert (row["a"], row["b"]) == (0.5, 0.75)
    assert row["mcnemar"] == {"only_a": 0, "only_b": 1, "p": 1.0}
    _, (same,) = run_compare(runs, "one", "two", "--a", "voting@2")
    (row,) = same["metrics"]
    assert row["metric"] == "voting@2 − voting@2"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--a", "votign", "--b", "pass@1"], "one has no metric 'votign'; it has pass@1, .*oting"),
        (["--a", "best_of_n", "--b", "pass@1"], "one has no metric 'best_of_n'; it has pass@1"),
        (["--a", "voting@9", "--b", "pass@1"], "k = 9 is larger than the pool of question 'q0'"),
        (["--a", "voting", "--b", "thoughts"], "one is a count and the other a share"),
        (["--b", "voting@3"], "one is the only side, so voting@3 would be compared with itself"),
    ],
)
def test_what_cannot_be_compared_is_refused(runs, words, message):
    with pytest.raises(ResultsError, match=message):
        run_compare(runs, "one", *words)


def steady(runs):
    """A run of N = 3, and the deterministic one, which has 1, 2 and 3 right."""
    answers = [["1"], ["2"], ["3"], ["0"]]
    write_run(runs / "steady", rows(answers), settings={"latent_do_sample": False})
    return "one", "steady"


def test_strategies_are_held_against_the_deterministic_answer(runs):
    done, (found,) = run_compare(runs, *steady(runs))
    assert found["deterministic"]["name"] == "steady"
    strategies = by_metric(found["strategies"]["one"])
    vote = strategies["voting@3 − deterministic"]
    assert (vote["a"], vote["b"]) == (0.5, 0.75)
    assert "pass@1 − deterministic" in strategies
    assert "steady" not in found["strategies"]
    assert "latent_do_sample=false" not in done.stdout


def test_a_deterministic_run_may_stand_beside_two_others(runs):
    steady(runs)
    done, (found,) = run_compare(runs, "one", "steady", "two")
    assert [side["name"] for side in found["sides"]] == ["one", "two"]
    assert "voting@3 − deterministic" in by_metric(found["strategies"]["two"])
    assert "deterministic: steady (tiny; none 0; N = 1; seed 1)" in done.stdout
    assert "voting@3" in by_metric(found["metrics"])


def test_a_table_of_strategies_says_where_the_deterministic_answer_is_missing(runs):
    done, _ = run_compare(runs, "one")
    assert "The deterministic answer is in none of these runs" in done.stdout


def test_scores_have_intervals_even_where_all_are_right(runs):
    write_run(runs / "all", rows([[gold] * 3 for gold in GOLDS]))
    done, (found,) = run_compare(runs, "all", "one", "--confidence", 0.9)
    vote = by_metric(found["metrics"])["voting@3"]
    wilson = binomtest(4, 4).proportion_ci(0.9, method="wilson")
    assert vote["a_interval"] == pytest.approx([wilson.low, wilson.high])
    assert by_metric(found["metrics"])["thoughts"]["a_interval"] is None
    assert f"1.0000 ± 0.0000  {wilson.low:.4f} to 1.0000" in done.stdout
    assert "A 90%" in done.stdout


def test_two_seeds_show_the_noise_floor(runs):
    write_run(runs / "again", rows(TWO), settings={"seed": 2})
    _, (found,) = run_compare(runs, "one", "again")
    floor = found["noise"]["one and again"]["voting@3"]
    assert (floor["seeds"], floor["mean"], floor["spread"]) == (2, 0.5, 0)
    # Two questions of four flip: each has the variance 1/2.
    assert floor["paired_spread"] == pytest.approx((2 * (0.5 + 0.5)) ** 0.5 / 4)
    assert "one" in found["strategies"]


def test_more_runs_are_sides_by_their_settings(runs):
    write_run(runs / "again", rows(TWO), settings={"seed": 2})
    done, (found,) = run_compare(runs, "one", "two", "again")
    assert [side["name"] for side in found["sides"]] == ["one", "two"]
    assert [len(side["runs"]) for side in found["sides"]] == [2, 1]
    metrics = by_metric(found["metrics"])
    assert metrics["candidate_0"]["a"] == 0.5  # the mean of 3/4 and 1/4
    assert metrics["candidate_0"]["mcnemar"] is None
    assert list(found["noise"]) == ["one"]
    assert "seed 1, 2" in done.stdout


def test_three_settings_are_too_many(runs):
    write_run(runs / "third", rows(ONE), settings={"noise_std": 1.0})
    with pytest.raises(ResultsError, match="3 different settings, one, two, third; compare two"):
        run_compare(runs, "one", "two", "third")


def test_metrics_of_one_side_are_named(runs):
    write_run(runs / "small", rows([a[:1] for a in ONE]))
    done, (found,) = run_compare(runs, "one", "small")
    assert "voting@1" in by_metric(found["metrics"])
    assert "voting@3" in found["left_out"]["one"]
    assert "Not on all sides, but in one: pass@2, pass@3, " in done.stdout


def test_a_further_k_is_computed_from_the_pools(runs):
    answers = [a + ["0"] * 2 for a in ONE]
    write_run(runs / "five", rows(answers))
    assert "pass@3" not in by_metric(run_compare(runs, "five", "two")[1][0]["metrics"])
    _, (found,) = run_compare(runs, "five", "two", "--k", "3")
    # Of 5 candidates 2, 3, 1 and 1 are right.
    expected = (1 - 1 / 10) + 1 + (1 - 4 / 10) * 2
    assert by_metric(found["metrics"])["pass@3"]["a"] == pytest.approx(expected / 4)


@pytest.mark.parametrize(
    ("k", "message"),
    [
        (4, "k = 4 is larger than the pool of question 'q0' in one, which has 3 candidates"),
        (0, "k = 0; it must be a whole number of at least 1"),
    ],
)
def test_a_k_beyond_the_smaller_pool_is_named(runs, k, message):
    write_run(runs / "five", rows([a + ["0"] * 2 for a in ONE]))
    with pytest.raises(ResultsError, match=message):
        run_compare(runs, "five", "one", "--k", k)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"golds": GOLDS[:3]}, "3 questions are the same: 1 are only in one, 0 only in other, 0 "),
        ({"ids": ["q0", "x", "y", "q3"]}, "2 questions are the same: 2 are only in one, 2 only in"),
        (
            {"texts": [f"What is question {p}{'!' * (p > 1)}?" for p in range(4)]},
            r"0 only in other, 2 have another text or gold answer \(such as 'q2'\)",
        ),
        ({"golds": ["1", "2", "3", "5"]}, "1 have another text or gold answer.*same data and"),
    ],
)
def test_other_questions_are_refused_with_their_number(runs, change, message):
    golds = change.pop("golds", GOLDS)
    write_run(runs / "other", rows(ONE[: len(golds)], golds), **change)
    with pytest.raises(ResultsError, match=message):
        run_compare(runs, "one", "other")


def test_gold_answers_compare_as_numbers(runs):
    write_run(runs / "other", rows(ONE, ["1.0", "2", "+3", "4"]))
    assert len(run_compare(runs, "one", "other")[1]) == 1


def test_other_versions_of_a_task_are_refused(runs):
    write_run(runs / "newer", rows(ONE), version=2.0)
    with pytest.raises(ResultsError, match=r"several versions of the task, 1.0 \(one\), 2.0 \(new"):
        run_compare(runs, "one", "newer")


def test_tasks_of_one_side_are_told(runs):
    write_run(runs / "one", rows(ONE), task="more", date="2031-01-01T00-00-00.0")
    done, found = run_compare(runs, "one", "two")
    assert [entry["task"] for entry in found] == ["latent_tts_arith"]
    assert "note: more was not run on all sides." in done.stderr


def test_no_task_in_common_is_refused(runs):
    write_run(runs / "other", rows(ONE), task="more")
    with pytest.raises(ResultsError, match="No task was run on all sides; there are latent_tts_ar"):
        run_compare(runs, "one", "other")


def test_a_folder_of_several_runs_is_refused(runs):
    with pytest.raises(
        ResultsError, match=r"holds 2 runs of latent_tts_arith: .*one/.*two/.* Name"
    ):
        run_compare(runs, runs)


def test_one_run_named_twice_is_refused(runs):
    with pytest.raises(ResultsError, match="The same run is named twice"):
        run_compare(runs, "one", "one")


def test_runs_of_one_name_go_by_their_paths(runs):
    write_run(runs / "sub" / "one", rows(TWO), settings={"seed": 2})
    _, (found,) = run_compare(runs, "one", "sub/one")
    assert [side["name"] for side in found["sides"]] == [str(runs / "one"), str(runs / "sub/one")]


def test_nothing_usable_is_refused_and_said_why(runs):
    other = write_run(runs / "other", rows(ONE))
    edit(other, lambda content: content["config"].pop("latent_tts"))
    edit(other, lambda content: content["results"].update(latent_tts_arith={"acc,none": 1.0}))
    output = CliRunner().invoke(compare, [str(runs / "other")])
    assert "is no task of this project" in str(output.exception)
    assert "other' holds no run that can be used" in str(output.exception)


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("", "is a directory"),
        ("one", "is a directory"),
        ("notes/below", "cannot be written: Not a directory"),
    ],
)
def test_a_json_file_that_cannot_be_written_is_named(runs, place, message):
    (runs / "notes").write_text("")
    words = [str(runs / "one"), str(runs / "two"), "--json", str(runs / place)]
    done = CliRunner().invoke(compare, words)
    assert done.exit_code != 0
    assert message in f"{done.output} {done.exception}"


def test_a_setting_left_at_none_makes_no_other_side(runs):
    write_run(runs / "three", rows(ONE), settings={"seed": 2, "num_beams": None})
    write_run(runs / "four", rows(ONE), settings={"seed": 3})
    done, _ = run_compare(runs, "one", "three", "four")
    assert "Noise between seeds of one:" in done.stdout

"""Which answers vote together and which are right, by each judge."""

import multiprocessing
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Timer

import psutil
import pytest

from latent_tts.tasks import (
    Candidate,
    Pool,
    TaskError,
    find_judge,
    find_strategy,
    mathematics,
    pool_metrics,
)
from latent_tts.tasks.pools.responses import read_response


def pool_of(answers, judge):
    rows = [
        Candidate(text=str(a), answer=a, thoughts=1, answer_tokens=1, truncated=False)
        for a in answers
    ]
    return Pool(tuple(rows), judge=judge)


TEXTS = ["Tom is a  wumpus.", "**tom is a wumpus**", "Tom is a dumpus", "5", None, " . "]
MATHS = [
    r"\frac{1}{2}",
    "0.5",
    "x - 1",
    r"$\dfrac{1}{2}$",
    "-1 + x",
    r"\text{Evelyn}",
    "evelyn.",
    None,
]


@pytest.mark.parametrize(
    ("judge", "answers", "gold", "groups", "right"),
    [
        ("number", ["18", "18 dollars", "17", "word", None], "18", [0, 0, 1, None, None], {0}),
        ("text", TEXTS, "Tom is a wumpus", [0, 0, 1, 2, None, None], {0}),
        ("text", ["yes", "No", "Yes.", "_yes_", '"no"', "`yes`"], "no", [0, 1, 0, 0, 1, 0], {1}),
        ("math", MATHS, "1/2", [0, 0, 1, 0, 1, 2, 2, None], {0}),
        ("math", MATHS, "x-1", [0, 0, 1, 0, 1, 2, 2, None], {1}),
        ("math", MATHS, r"\text{Evelyn}", [0, 0, 1, 0, 1, 2, 2, None], {2}),
        ("math", ["(3, \\frac{\\pi}{2})", "(3,\\pi/2)", "(3,\\pi)"], "(3, \\pi/2)", [0, 0, 1], {0}),
        ("math", ["{1, 2}", "2", r"\sqrt{4}"], "2", [0, 1, 1], {1}),
    ],
)
def test_equal_answers_vote_together(judge, answers, gold, groups, right):
    pool = pool_of(answers, judge)
    seen: dict[str, int] = {}
    found = [None if key is None else seen.setdefault(key, len(seen)) for key in pool.keys]
    assert found == groups
    metrics = pool_metrics(pool, gold)
    n = len(answers)
    assert metrics["pass@1"] == pytest.approx(sum(group in right for group in groups) / n)
    assert metrics["unparsed"] == pytest.approx(groups.count(None) / n)
    chosen = find_strategy("voting").pick(pool)
    votes = [group for group in groups if group is not None]
    winner = max(dict.fromkeys(votes), key=votes.count)  # the first of the most frequent
    assert chosen is pool.candidates[groups.index(winner)]
    assert metrics[f"voting@{n}"] == float(winner in right)


def test_under_number_a_text_gold_is_refused_and_under_text_none_is():
    with pytest.raises(TaskError, match=r"'a wumpus' is not a number.*choose another judge \(num"):
        pool_metrics(pool_of(["5"], "number"), "a wumpus")
    with pytest.raises(TaskError, match="is not a text with something in it"):
        pool_metrics(pool_of(["5"], "text"), " ")


@pytest.mark.parametrize("name", ["maths", None, 3, ["text"]])
def test_an_unknown_judge(name):
    with pytest.raises(TaskError, match=r"judge is .* Allowed in .* are number, text, math"):
        find_judge(name)


def test_math_without_its_library(monkeypatch):
    from latent_tts.tasks.judges import MathJudge

    monkeypatch.setitem(sys.modules, "math_verify", None)
    with pytest.raises(TaskError, match=r"needs the library math-verify: pip install"):
        MathJudge()


def test_a_pools_json_does_not_say_its_judge():
    pool = pool_of(["yes"], "text")
    assert Pool.from_json(pool.to_json()) == pool.judged_by("number")


def test_texts_of_other_models():
    assert read_response("It is\nTom 2 is a wumpus.").candidates[0].answer == "2"
    pool = read_response("It is 2.\nTom is a wumpus.\n", judge="text")
    assert pool.candidates[0].answer == "Tom is a wumpus."
    assert pool_metrics(pool, "tom is a wumpus")["pass@1"] == 1.0


@pytest.mark.parametrize(
    ("answer", "gold", "right"),
    [
        ("25", "025", True),
        ("025", "25", True),
        (r"m + n = \boxed{25}", "25", True),
        ("32348", r"\$32,348", True),
        (r"\$32,348", r"\$32,348.00", True),
        ("5", "25", False),
    ],
)
def test_answers_of_aime_and_dollars(answer, gold, right):
    assert find_judge("math").is_right(answer, gold) is right


@pytest.mark.parametrize("gold", ["(", "???", r"\frac{1}{", " ", "\ud800"])
def test_a_gold_that_math_verify_cannot_read(gold):
    with pytest.raises(TaskError, match="is not an expression that math-verify can read"):
        pool_metrics(pool_of(["5"], "math"), gold)


@pytest.mark.slow
def test_an_answer_that_cannot_be_computed_is_wrong_and_holds_nothing_up(monkeypatch, caplog):
    """sympy would compute these for hours, in calls that no signal interrupts."""
    monkeypatch.setattr(mathematics, "LIMIT_S", 1.0)
    endless = ["9^{9^{9^{9}}}", "x^{1000}+x^{999}-(x+1)^{1000}"]
    pool = pool_of([endless[0], "7", "0.5", r"\frac{1}{2}", endless[1]], "math")
    began = time.monotonic()
    metrics = pool_metrics(pool, "1/2")
    assert time.monotonic() - began < 200
    assert metrics["pass@1"] == pytest.approx(2 / 5)
    assert metrics["voting@5"] == 1.0
    assert "has no answer to" in caplog.text
    assert find_judge("math").is_right("3", "3.0")  # the helper was started anew


@pytest.mark.slow
def test_a_helper_that_waits_for_a_busy_machine_is_waited_for(monkeypatch):
    """What the clock says is no reason to call two answers unequal."""
    monkeypatch.setattr(mathematics, "LIMIT_S", 0.5)
    judge = find_judge("math")
    assert judge.is_right("1", "1")  # the helper runs
    (helper,) = (
        child
        for child in psutil.Process().children()
        if "latent_tts.tasks.math_helper" in child.cmdline()
    )
    helper.suspend()
    Timer(3.0, helper.resume).start()
    began = time.monotonic()
    assert judge.is_right("0.125", r"\frac{1}{8}")
    assert time.monotonic() - began > 2


@pytest.mark.slow
def test_processes_and_threads_ask_at_once():
    judge = find_judge("math")
    pairs = [(f"{i}", f"{2 * i}/2") for i in range(40)]
    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(lambda pair: judge.is_right(*pair), pairs))
    with multiprocessing.get_context("fork").Pool(2) as processes:
        found = processes.starmap(judge.is_right, [(a, f"{b}+1-1") for a, b in pairs])
    assert all(found)

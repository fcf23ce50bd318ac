"""Training text holds no test question, no copy, and nothing twice."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import pytest

from latent_tts.tasks import Solved, TaskError, read_questions
from latent_tts.tasks.preparation import (
    Source,
    TestQuestions,
    prepare,
    refuse_test_questions,
    shipped_tests,
)
from latent_tts.tasks.preparation.__main__ import write_digests
from latent_tts.tasks.preparation.contamination import DIGESTS

TEST = "Ann has 12 red cups. She buys twenty-five more. How many cups has she got?"
TESTS = TestQuestions.of({"cups": [TEST], "sums": ["What is 3+4?"]})


def solved(question: str, *steps: str, answer: str) -> Solved:
    return Solved(question=question, steps=steps, answer=answer)


def pears(number: int) -> Solved:
    return solved(
        f"Tom has {number} pears and buys 41 more. How many has he, who is {'old ' * number}?",
        f"<<{number}+41={number + 41}>>",
        answer=str(number + 41),
    )


@pytest.mark.parametrize(
    ("question", "found"),
    [
        (TEST, "cups"),
        ("ann has 12 red cups .  She buys twenty five more . How many cups has she got ?", "cups"),
        (TEST.replace("12", "1,200"), "cups with other numbers"),
        (TEST.replace("twenty-five", "7").replace("12", "3.5"), "cups with other numbers"),
        (TEST.replace("12", "a dozen").replace("a dozen", "dozen"), "cups with other numbers"),
        (TEST.replace("12", "one hundred and five"), "cups with other numbers"),
        (TEST.replace("12", "16 million"), "cups with other numbers"),
        (TEST.replace("12", "a hundred"), "cups with other numbers"),
        (TEST.replace("12", "two thousand"), "cups with other numbers"),
        (TEST.replace("12", "3\u00bd"), "cups with other numbers"),
        (TEST.replace("12", "3 1/2"), "cups with other numbers"),
        (TEST.replace("red", "blue"), None),
        ("How many cups?", None),
        ("What is 3 + 4?", "sums"),
        ("What is 34?", None),
        ("What is 7 + 4?", None),
    ],
)
def test_what_counts_as_a_test_question(question: str, found: str | None) -> None:
    match = TESTS.find(question)
    assert (None if match is None else str(match)) == found


def test_training_on_a_test_question_is_refused() -> None:
    examples = [pears(3), solved(TEST, "<<12+25=37>>", answer="37"), pears(4)]
    with pytest.raises(TaskError, match=r"mix: 1 of the examples .* 2, 'Ann .* from cups\."):
        refuse_test_questions(examples, where="mix", tests=TESTS)
    refuse_test_questions([pears(3), pears(4)], where="mix", tests=TESTS)


def test_the_digests_that_ship_know_every_shipped_test_question() -> None:
    folder = resources.files("latent_tts.tasks.arith")
    for name in ("arith_test", "arith_hard_test"):
        for question in read_questions(str(folder / f"{name}.jsonl")):
            assert shipped_tests().find(question.text), question.text


@pytest.mark.skipif("LATENT_TTS_DATA" not in os.environ, reason="the test sets are not here")
def test_the_digests_that_ship_are_those_of_the_test_sets(tmp_path: Path) -> None:
    write_digests(Path(os.environ["LATENT_TTS_DATA"]), tmp_path / "new.json")
    assert (tmp_path / "new.json").read_bytes() == DIGESTS.read_bytes()


def run(sources: Sequence[Source], **options: object):
    return prepare(sources, seed=1, tests=TESTS, **options)


def test_what_is_dropped_and_why() -> None:
    rows = [
        pears(3),
        solved(pears(3).question.upper(), "<<3+41=44>>", answer="44"),
        solved(TEST, "<<12+25=37>>", answer="37"),
        solved("9 cups and 4 mugs?", answer="13"),
        solved("9 cups and 4 mugs are how much?", answer="77"),
        solved("9 cups and 4 mugs, more or less?", "nine and four", answer="13"),
        solved("9 cups and 4 mugs, exactly?", "<<9+4=13>>", answer="14"),
        solved("9 cups, 4 mugs, 2 jars?", "<<9+4=13>>", "<<13+2=15>>", answer="15"),
        solved("9 cups " + "and so on " * 9, "<<9+4=13>>", answer="13"),
        solved("The 8 cups of yesterday morning", "<<9+4=13>>", answer="13"),
        solved("48 cups and 48 mugs?", "<<48+48=95>>", answer="95"),
        solved("10 cups for 3 men?", "<<10/3=3>>", answer="3"),  # rounded
    ]
    excluded = {"valid": ["the 7 cups of yesterday morning!"]}
    made = run([Source("a", rows)], most_steps=1, longest=20, excluded=excluded)
    assert {(one.question[:30], one.reason) for one in made.dropped} == {
        (rows[1].question[:30], "a copy"),
        (rows[2].question[:30], "test question: cups"),
        (rows[4].question[:30], "no equations"),
        (rows[5].question[:30], "no equations"),
        (rows[6].question[:30], "the steps do not end in the answer"),
        (rows[7].question[:30], "too many steps"),
        (rows[8].question[:30], "too long"),
        (rows[9].question[:30], "test question: valid with other numbers"),
        (rows[10].question[:30], "a step is wrong"),
    }
    steps = {one.steps for one in made.examples}
    assert steps == {("<<3+41=44>>",), ("<<9+4=13>>",), ("<<10/3=3>>",)}
    assert made.counts["a"] == {"read": 12, "kept": 3}


def test_nothing_is_lost_without_a_word() -> None:
    rows = [pears(number) for number in (3, 3, 5)]
    rows += [
        solved(f"{n} red cups and 4 mugs, all?", f"<<{n}+4={n + 4}>>", answer=str(n + 4))
        for n in (5, 6, 7)
    ]
    rows += [
        solved(f"{n} red jars and 4 hats, all?", f"<<{n}+4={n + 4}>>", answer=str(n + 4))
        for n in (5, 6, 7)
    ]
    made = run([Source("a", rows, variants=1)], validation=2)
    counts = made.counts["a"]
    assert len(made.validation) == counts["set apart"] == 2
    assert counts["kept"] + counts["varied"] == len(made.examples)
    assert counts["read"] == counts["kept"] + counts["set apart"] + len(made.dropped)


def test_validation_shares_no_question_with_training_even_with_other_numbers() -> None:
    rows = [pears(number) for number in range(2, 30)]
    twins = [
        solved(one.question.replace("41", "43"), f"<<{n}+43={n + 43}>>", answer=str(n + 43))
        for n, one in enumerate(rows, start=2)
    ]
    made = run([Source("a", [*rows, *twins], variants=2)], validation=5)
    tests = TestQuestions.of({"validation": [one.question for one in made.validation]})
    assert len(made.validation) == 5
    assert not any(tests.find(one.question) for one in made.examples)
    assert made.counts["a"]["varied"] > 20
    questions = [one.question for one in made.examples]
    assert len(questions) == len(set(questions))


def test_a_source_gives_the_same_whatever_stands_beside_it() -> None:
    rows, others = [pears(n) for n in range(2, 20)], [pears(n) for n in range(30, 50)]
    alone = run([Source("a", rows, count=6, variants=1)])
    beside = run([Source("b", others), Source("a", rows, count=6, variants=1)])
    ours = {one.question for one in alone.examples}
    assert len(ours) >= 6
    assert ours == {one.question for one in beside.examples if one.question in ours}
    assert alone.examples == run([Source("a", rows, count=6, variants=1)]).examples


def test_preparing_needs_no_torch() -> None:
    program = "import sys, latent_tts.tasks.preparation; print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


def test_digests_are_of_every_test_set() -> None:
    file = resources.files("latent_tts.tasks.preparation") / "test_questions.json"
    sets = json.loads(file.read_text())
    assert sets.keys() == {
        "aime24", "aime25", "arith_hard_test", "arith_test", "gsm8k_test", "gsm_hard", "math500",
        "multiarith", "svamp",
    }  # fmt: skip
    assert len(sets["multiarith"]["exact"]) > 500 * 8

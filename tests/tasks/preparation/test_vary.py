"""Variants with other numbers stay consistent."""

import ast
import re
from fractions import Fraction

import pytest

from latent_tts.tasks import Solved
from latent_tts.tasks.arith import generate
from latent_tts.tasks.preparation import vary
from latent_tts.tasks.preparation.contamination import masked

PEARS = Solved(
    question="Tom has 9 pears. He buys 14 more and shares all of them among 23 friends' 5 bags.",
    steps=("<<9+14=23>>",),
    answer="23",
)
CLIPS = Solved(
    question="Natalia sold clips to 48 friends in April, and half as many in May. How many in all?",
    steps=("<<48/2=24>>", "<<48+24=72>>"),
    answer="72",
)
MONEY = Solved(
    question="A pen costs $1.50 and a cap $1,200. What do 3 pens and a cap cost?",
    steps=("<<1.5*3=4.5>>", "<<1200+4.5=1204.5>>"),
    answer="1204.5",
)


def holds(step: str) -> bool:
    """Tell whether an equation holds, by Python's own arithmetic."""
    left, right = step.strip("<>").split("=")
    assert set(left) <= set("0123456789.+-*/()")
    return abs(eval(compile(ast.parse(left, mode="eval"), "", "eval")) - float(right)) < 1e-9


@pytest.mark.parametrize("solved", [CLIPS, MONEY])
def test_every_step_is_computed_again(solved: Solved) -> None:
    made = [new for variant in range(30) if (new := vary(solved, seed=1, variant=variant))]
    assert len({new.question for new in made}) > 10
    for new in made:
        assert masked(new.question) == masked(solved.question)
        assert all(map(holds, new.steps))
        assert new.answer == new.steps[-1].strip("<>").partition("=")[2]
        assert Fraction(new.answer) > 0


def test_numbers_of_the_text_are_those_of_the_steps() -> None:
    new = vary(CLIPS, seed=0, variant=0)
    assert new is not None
    (friends,) = re.findall(r"\d+", new.question)
    first, second = new.steps
    half = first.strip("<>").partition("=")[2]
    assert first.startswith(f"<<{friends}/2=")
    assert second.startswith(f"<<{friends}+{half}=")
    assert "." not in new.answer


def test_how_numbers_are_written_stays() -> None:
    new = vary(MONEY, seed=0, variant=3)
    assert new is not None
    assert re.search(r"\$\d+\.\d\d and a cap \$\d{1,3}(,\d{3})?\. ", new.question)


def test_a_variant_depends_on_seed_question_and_number_alone() -> None:
    assert vary(CLIPS, seed=1, variant=2) == vary(CLIPS, seed=1, variant=2)
    assert vary(CLIPS, seed=1, variant=2) != vary(CLIPS, seed=1, variant=3)
    assert vary(CLIPS, seed=2, variant=2) != vary(CLIPS, seed=1, variant=2)


def test_generated_problems_stay_right() -> None:
    # Their steps are whole and positive, and every number in the text is one of a step.
    problems = list(generate(split="train", count=150, seed=3))
    made = 0
    for one in problems:
        solved = Solved(question=one.question, steps=one.steps, answer=one.answer)
        new = vary(solved, seed=0, variant=0)
        if new is None:
            continue
        made += 1
        assert all(map(holds, new.steps))
        assert new.answer.isdecimal()
    assert made > 50


@pytest.mark.parametrize(
    ("question", "steps", "answer"),
    [
        # 23 is a number of the question and a result.
        (PEARS.question, ("<<9+14=23>>", "<<23*5=115>>"), "115"),
        # 16 is 9 + 7, computed without a step.
        (
            "Ann is 9, Tom twice as old. Their sum in 7 years?",
            ("<<9*2=18>>", "<<18+7=25>>", "<<16+25=41>>"),
            "41",
        ),
        # 0.2 comes from 20%.
        ("20% of 50 cups and 20 more", ("<<0.2*50=10>>", "<<10+20=30>>"), "30"),
        ("5% of 300 cups and 20 more", ("<<300*1/20=15>>", "<<15+20=35>>"), "35"),
        # Three in words and in digits.
        ("3 cups for each of three days", ("<<3*3=9>>",), "9"),
        # A step that does not hold, one that is none, an answer that is another.
        ("3 cups and 5 mugs", ("<<3+5=9>>",), "9"),
        ("3 cups and 5 mugs", ("three and five",), "8"),
        ("3 cups and 5 mugs", ("<<3+5=8>>",), "9"),
        ("3 cups and 5 mugs", (), "8"),
        # No number in digits.
        ("three cups and five mugs", ("<<3+5=8>>",), "8"),
        # Minutes of an hour: 60 is not the question's number.
        ("60 minutes", ("<<60/60=1>>",), "1"),
    ],
)
def test_what_is_not_certain_is_not_varied(
    question: str, steps: tuple[str, ...], answer: str
) -> None:
    solved = Solved(question=question, steps=steps, answer=answer)
    assert all(vary(solved, seed=0, variant=number) is None for number in range(5))


@pytest.mark.parametrize(
    ("question", "steps"),
    [
        ("Tom has 2 dogs and twice as many cats. How many?", ["2*2=4", "4+2=6"]),
        ("A dog eats 2 1/2 pounds a day. What do 2 dogs eat?", ["2.5*2=5"]),
        ("An 8 piece pie: he eats 4, then half of the rest by 2s.", ["8-4=4", "4/2=2"]),
        ("64 bags lie in 4 piles; one quarter go. How many?", ["64/4=16"]),
        ("There are 3 thousand pens in 5 boxes. How many in 5?", ["3000/5=600"]),
        ("He comes 3rd of 3 in a race of 70 km, and again.", ["70*3=210"]),
        ("A gallon is 4 quarts here. What are 4 gallons of 7 cups?", ["7*4=28"]),
    ],
)
def test_a_number_that_a_word_may_mean_does_not_move(question: str, steps: list[str]) -> None:
    answer = steps[-1].partition("=")[2]
    solved = Solved(question=question, steps=tuple(f"<<{s}>>" for s in steps), answer=answer)
    doubtful = re.findall(r"\b[234]\b", question)
    for variant in range(20):
        new = vary(solved, seed=0, variant=variant)
        if new is not None:  # other numbers may move
            assert doubtful == re.findall(r"\b[234]\b", new.question)


def test_a_word_beside_other_numbers_stops_nothing() -> None:
    question = "Tom has 9 dogs and twice as many cats. How many?"
    solved = Solved(question=question, steps=("<<9*2=18>>", "<<18+9=27>>"), answer="27")
    new = vary(solved, seed=0, variant=1)
    assert new is not None
    (dogs,) = map(int, re.findall(r"\d+", new.question))
    assert new.answer == str(3 * dogs)

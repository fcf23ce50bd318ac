"""Equations are found, read and computed exactly."""

from fractions import Fraction

import pytest

from latent_tts.tasks.preparation import find_equations, read_equation, search_steps
from latent_tts.tasks.preparation.numbers import numbers_in, plain


@pytest.mark.parametrize(
    ("step", "left", "right", "value"),
    [
        ("<<48/2=24>>", "48/2", "24", Fraction(24)),
        (" 48 / 2 = $24 ", "48/2", "24", Fraction(24)),
        ("1,200 × 3 = 3,600.00", "1200*3", "3600", Fraction(3600)),
        ("<<20%*50=10>>", "20%*50", "10", Fraction(10)),
        ("<<.5*(3+5)=4>>", ".5*(3+5)", "4", Fraction(4)),
        ("<<1/3*2=0.67>>", "1/3*2", "0.67", Fraction(2, 3)),
        ("<<-3+5=2>>", "-3+5", "2", Fraction(2)),
    ],
)
def test_what_is_read(step: str, left: str, right: str, value: Fraction) -> None:
    equation = read_equation(step)
    assert equation is not None
    assert (equation.left, equation.right, equation.value) == (left, right, value)
    assert equation.holds == (value == Fraction(right))


@pytest.mark.parametrize(
    "step",
    [
        "",
        "48",
        "10 20 + 5=1025",
        "1,000 + 2,50=3,50",
        "1,0000+2=10002",
        "<<24=24>>",
        "x+2=4",
        "2**3=8",
        "1/0=1",
        "4//2=2",
        "2+2=",
        "=4",
        "2+=4",
        "3=1+2",
        "1+1=2=2",
        "__import__('os')=1",
        "(" * 5000 + "1" + ")" * 5000 + "+1=2",
        "1+1=1/2",
        "1+1=nan",
        "1e3+1=1001",
    ],
)
def test_what_is_no_equation(step: str) -> None:
    assert read_equation(step) is None


def test_rationales() -> None:
    marked = "She sold 48/2 = <<48/2=24>>24 clips in May and 48+24 = <<48+24=72>>72 in all."
    assert find_equations(marked) == ("<<48/2=24>>", "<<48+24=72>>")
    assert find_equations("She sold 48 / 2 = 24 clips, then (3 + 4) x $2 = $14.") == (
        "<<48/2=24>>",
        "<<(3+4)*2=14>>",
    )
    assert find_equations("There is nothing to compute in 2026.") == ()


@pytest.mark.parametrize(
    ("question", "answer", "steps"),
    [
        ("Tom has 9 pears and buys 4 more. How many?", "13", ("<<9+4=13>>",)),
        ("Seven red and two green apples. How many?", "9", ("<<7+2=9>>",)),
        (
            "He has 20 coins, gives away 6 and shares the rest among 7.",
            "2",
            ("<<20-6=14>>", "<<14/7=2>>"),
        ),
        ("In one box are 12 eggs. How many in 5 boxes?", "60", ("<<12*5=60>>",)),
        (
            "Ann ran 157 miles. Bob ran 86 more. How many did they run altogether?",
            "400",
            ("<<157+86=243>>", "<<157+243=400>>"),
        ),
    ],
)
def test_steps_are_searched(question: str, answer: str, steps: tuple[str, ...]) -> None:
    assert search_steps(question, answer) == steps


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("He has 2 apples and 2 pears.", "4"),  # 2 + 2 or 2 * 2
        ("He has 7 apples and 5 pears.", "40"),  # nothing gives it
        ("He has 7 apples.", "7"),
        ("1 2 3 4 5 of them, 6 and 7", "28"),
        ("He has 7 apples and 5 pears.", "many"),
        ("He has 5 apples and 7 pears. How many more apples?", "-2"),
    ],
)
def test_nothing_is_guessed(question: str, answer: str) -> None:
    assert search_steps(question, answer) is None


def test_numbers_of_a_text() -> None:
    text = "On the 3rd, at 3:15, 1/2 of 1,200 cost $4.50; twelve cost .5, in 1.2.3 or 5. Then 7."
    found = [(text[n.start : n.end], n.value) for n in numbers_in(text)]
    assert found == [
        ("1,200", Fraction(1200)),
        ("4.50", Fraction(9, 2)),
        ("twelve", Fraction(12)),
        (".5", Fraction(1, 2)),
        ("5", Fraction(5)),
        ("7", Fraction(7)),
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Fraction(24), "24"),
        (Fraction(-1, 8), "-0.125"),
        (Fraction(1, 3), None),
        (Fraction(100), "100"),
        (Fraction(7, 20), "0.35"),
        (Fraction(0), "0"),
    ],
)
def test_plain_decimals(value: Fraction, text: str | None) -> None:
    assert plain(value) == text


def test_a_fraction_that_is_not_read_leaves_no_way() -> None:
    assert search_steps("Ann had 10 apples and 5 pears. Total?", "15") == ("<<10+5=15>>",)
    assert search_steps("Ann had 1/2 of 10 apples and 5 pears. Total?", "15") is None

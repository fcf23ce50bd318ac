"""Exact decimals: what is a number, what is equal, what votes together."""

import random
import time
from decimal import Decimal
from fractions import Fraction

import pytest

from latent_tts.tasks import (
    TaskError,
    canonical,
    is_correct,
    last_number,
    read_number,
    read_tolerance,
    vote_keys,
)
from latent_tts.tasks.answers import final_answer


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("18", "18"),
        ("18.0", "18"),
        (" 18. ", "18"),
        ("18.50", "18.5"),
        ("007", "7"),
        (".5", "0.5"),
        ("5.", "5"),
        ("-0", "0"),
        ("-0.00", "0"),
        ("+7", "7"),
        ("\u22123", "-3"),
        ("- 5", "-5"),
        ("$1,234,567.80", "1234567.8"),
        ("-$5", "-5"),
        ("$-5", "-5"),
        (r"\$5", "5"),
        ("\u20ac 5", "5"),
        ("5 \u20ac", "5"),
        ("50%", "50"),
        (r"50\%.", "50"),
        ("1e3", "1000"),
        ("1E-3", "0.001"),
        ("12.5e1", "125"),
        ("1.5 × 10^3", "1500"),
        (r"1.5 \times 10^{-3}", "0.0015"),
        ("3 million", "3000000"),
        ("$2.5 hundred", "250"),
        ("\u2013 5", "-5"),
        ("\uff0d5", "-5"),
        ("negative 5", "-5"),
        ("\u20105", "-5"),
        ("1\u2009000", "1000"),
        ("1\u2019234", "1234"),
        ("2 billion", "2000000000"),
        ("1.5 trillion", "1500000000000"),
        ("0" * 299 + "5", "5"),
        ("minus $5", "-5"),
        ("US$18", "18"),
        ("1,00,000", "100000"),
        ("12,34,567.5", "1234567.5"),
        ("1.234,50", "1234.5"),
        ("1.234.567", "1234567"),
        ("1.234.567,8", "1234567.8"),
        ("1.234", "1.234"),
        ("1'000'000.5", "1000000.5"),
        ("1\u202f000,5", "1000.5"),
        ("10{,}000", "10000"),
        (r"10,\!000", "10000"),
        ("0e999999999", "0"),
        ("-2.4967000000000003e-05", "-0.000024967000000000003"),
        ("3244047.0999999996", "3244047.0999999996"),
        ("9" * 100, "9" * 100),
        ("1e99", "1" + "0" * 99),
    ],
)
def test_numbers_have_one_canonical_text(text, number):
    assert canonical(text) == number
    assert canonical(number) == number


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        " ",
        ".",
        "-",
        "$",
        "e5",
        "inf",
        "-Infinity",
        "nan",
        "1/2",
        "12,34",
        "1,2345",
        "0,5",
        "0,123",
        "1,23,45",
        "1,234,56",
        "1.23,456",
        "1.5,000",
        "½",
        "1 1/2",
        "2^10",
        "2x",
        "5k",
        "2 dozen",
        "3-2",
        "1 000",
        "1000,000",
        "1234,567",
        "0" * 300 + "5",
        "18 eggs",
        "--5",
        "1.2.3",
        "1_000",
        "0x10",
        "9" * 101,
        "1e100",
        "1e-101",
        "1e999999999",
        "1e-999999999",
        "9" * 100_000,
        "1e" + "9" * 200,
    ],
)
def test_everything_else_is_not_a_number(text):
    assert canonical(text) is None


def test_canonical_keeps_the_value_exactly():
    rng = random.Random(0)
    for _ in range(2000):
        value = Decimal(rng.randint(-(10**20), 10**20)).scaleb(rng.randint(-40, 40))
        text = canonical(str(value))
        assert text is not None
        assert Fraction(text) == Fraction(value)


PARTS = ("1", ",", "1,", " ", "-", "1.", "e1", "$", "1,111", "1 ", "1/", "- ", "{", "*1*", "=1")
PARTS += ("1e1 ", "\\frac{1}{", "\\sqrt{", "\\boxed{", "1 x ", "minus ", "\u00bd", "####", "\n- 1")


@pytest.mark.slow
def test_arbitrary_text_never_raises_and_never_takes_long():
    rng = random.Random(1)
    alphabet = "0123456789.,-+eE$%/^=*_'x{} \\\t\n\u2212\u20ac\u0663\x00ab"
    texts = ["".join(rng.choices(alphabet, k=rng.randint(0, 40))) for _ in range(3_000)]
    texts += [unit * 10_000 for unit in PARTS]
    texts += ["-" + " " * 298 + "x", "1" + " " * 298 + "x", "\ud800"]
    start = time.process_time()  # other processes may slow this one down
    for text in texts:
        number = canonical(text)
        assert number is None or canonical(number) == number
        assert is_correct(text, "1") in (True, False)
        assert is_correct("1", text, tolerance=Decimal("0.1")) in (True, False)
        vote_keys([text])
        stated = read_number(text)
        assert number is None or stated == number
        assert stated is None or canonical(stated) == stated
        final_answer(text)
        found = last_number(text)
        assert found is None or found in text
    assert time.process_time() - start < 10


def test_is_correct_compares_exactly():
    assert is_correct("18.00", "18")
    assert is_correct("$1,000", "1000")
    assert not is_correct("0.1000000000000000000001", "0.1")
    assert not is_correct(None, "18")
    assert is_correct("18 eggs", "18")
    assert not is_correct("18 eggs", "18 eggs")
    assert not is_correct("p - q", "p - q")


def test_tolerance_is_relative_where_the_gold_number_is_small():
    tolerance = Decimal("0.001")
    assert not is_correct("0", "8.3e-06", tolerance=tolerance)
    assert not is_correct("8.4e-06", "8.3e-06", tolerance=tolerance)
    assert is_correct("8.308e-06", "8.3e-06", tolerance=tolerance)
    assert not is_correct("0.0001", "-0.0009", tolerance=tolerance)
    assert is_correct("0.5005", "0.5", tolerance=tolerance)
    assert not is_correct("0.50051", "0.5", tolerance=tolerance)
    assert is_correct("0.001", "0", tolerance=tolerance)  # of nothing, nothing is a share
    assert not is_correct("0.0011", "0", tolerance=tolerance)
    assert not is_correct("1.0011", "1", tolerance=tolerance)


def test_tolerance_is_absolute_inclusive_and_exact():
    tolerance = Decimal("0.001")
    assert is_correct("3244047.1", "3244047.0999999996", tolerance=tolerance)
    assert is_correct("1.001", "1", tolerance=tolerance)
    assert not is_correct("1.0010000000000000000000000000000001", "1", tolerance=tolerance)
    big = "9" * 100
    assert not is_correct(big, "-0." + "0" * 99 + "1", tolerance=Decimal(big))


def test_numbers_vote_by_value_and_silence_everything_else():
    assert vote_keys(["18.0", "$18", r"\frac{1}{2}", None]) == ("18", "18", None, None)
    same = ["18", "18 dollars", "**18**", "x = 18", r"\boxed{18}", "$18$", "The answer is 18."]
    assert vote_keys(same) == ("18",) * len(same)


def test_texts_vote_where_no_answer_is_a_number():
    assert vote_keys([r" \pi ", r"\pi", None, "  "]) == (r"\pi", r"\pi", None, None)
    assert vote_keys([None]) == (None,)
    assert vote_keys([]) == ()


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("So it is 1,234.", "1,234"),
        ("2 + 3 = -5", "-5"),
        ("from 5-10", "10"),
        ("so 3-2", "2"),
        ("so 3 - 2", "2"),
        ("roots 3 -2", "-2"),
        ("10 minus 2", "2"),
        ("GPT-5", "5"),
        ("= - 5", "- 5"),
        ("The answer is: \u2212 5", "\u2212 5"),
        ("The answer is \u20135.", "\u20135"),
        ("The answer is - 5", "- 5"),
        ("5 apples - 2 eaten", "2"),
        ("- 3 pears\n- 5 apples", "5"),
        ("it is negative 5 degrees", "negative 5"),
        ("so 12,34", "12,34"),
        ("so 1.234,50 euros", "1.234,50"),
        ("1,2,3", "1,2,3"),
        ("1, 2, 3", "3"),
        ("it is 1/2", "1/2"),
        ("so \\frac{1}{2}.", "\\frac{1}{2}"),
        ("so 3 million.", "3 million"),
        ("so 2 dozen.", "2 dozen"),
        ("an area of 18 cm^2", "18"),
        ("(10 + 14)/2 = 12", "12"),
        ("it is 2x", "2x"),
        ("it is \u221a2", "\u221a2"),
        ("in 2021... 5", "5"),
        ("(3)-2", "2"),
        ("It costs $7.50 in 3 days, i.e. $22.50!", "$22.50"),
        ("#### 18", "18"),
        ("1.5e3 grams", "1.5e3"),
        ("pay -$5", "-$5"),
        ("No.5", "5"),
        ("5 or \u2150", "\u2150"),
        ("5 or \u215e", "\u215e"),
        ("50% - 5", "5"),
        ("so\n-5", "-5"),
        ("Is it so? - 5", "5"),
        ("It comes to - 5", "- 5"),
        ("The total is 72 clips, altogether.", "72"),
        ("no number", None),
        ("", None),
    ],
)
def test_last_number_of_a_text(text, number):
    assert last_number(text) == number


def test_read_tolerance():
    assert read_tolerance(0) == 0
    assert read_tolerance(0.001) == read_tolerance("0.001") == Decimal("0.001")


@pytest.mark.parametrize("value", [-1, "nan", float("inf"), "small", None, True, [1]])
def test_wrong_tolerances_are_refused(value):
    with pytest.raises(TaskError, match=r"tolerance is .* must be a number of at least 0"):
        read_tolerance(value)


@pytest.mark.parametrize(
    ("answer", "number"),
    [
        ("18 dollars", "18"),
        ("-18 dollars", "-18"),
        ("18 \\text{ dollars}", "18"),
        ("18cm", "18"),
        ("18 cm^2", "18"),
        ("18 m\u00b2", "18"),
        ("18 cm^3", "18"),
        ("\\boxed {18}", "18"),
        ("60 km/h", "60"),
        ("90^\\circ", "90"),
        ("18 square feet", "18"),
        ("18 times", "18"),
        ("**18**", "18"),
        ("*18*", "18"),
        ("__18__", "18"),
        ("`18`", "18"),
        ("**18** eggs", "18"),
        ("$18$", "18"),
        ("\\(18\\)", "18"),
        ("\\[ x = -18 \\]", "-18"),
        ("x = 18", "18"),
        ("18 = x", "18"),
        ("2 + 3 = 5 eggs", "5"),
        ("x \\approx 18", "18"),
        ("\\boxed{18}", "18"),
        ("\\boxed{\\text{18 dollars}}", "18"),
        ("so \\boxed{1,200} of 3", "1200"),
        ("The answer is - 5.", "-5"),
        ("Answer: 18", "18"),
        ('"18"', "18"),
        ("(18)", "18"),
        ("about 18", "18"),
        ("It is 5!", "5"),
        ("18-year-old", "18"),
        ("the 18th", "18"),
        ("-3 million dollars", "-3000000"),
        ("1.5e3 grams", "1500"),
        (None, None),
        ("", None),
        ("eggs", None),
        ("12 or 13", None),
        ("3 hours 20 minutes", None),
        ("10:30", None),
        ("2x", None),
        ("2 x", None),
        ("2\\pi", None),
        ("2 pi", None),
        ("x^2", None),
        ("\\frac{1}{2}", None),
        ("\\frac{\\sqrt{3}}{2}", None),
        ("\\sqrt{2}", None),
        ("\\boxed{\\frac{1}{2}}", None),
        ("1/2 dollars", None),
        ("1 and a half", None),
        ("2 dozen eggs", None),
        ("5 dozens of eggs", None),
        ("half of 18", None),
        ("at least 5", None),
        ("> 5", None),
        ("x \\le 5", None),
        ("\u00b15", None),
        ("x - 5", None),
        ("COVID-19", None),
        ("A18", None),
        ("f(2)", None),
        ("5!", None),
        ("log 2", None),
        ("12,34 euros", None),
        ("not 18", None),
        ("18 " + "eggs " * 100, None),
        *(
            (text, "-5")
            for text in ("-{5}", "\\boxed{-{5}}", "{-}5", "-\\text{5}", "-**5**", "-`5`")
        ),
        *((text, None) for text in ("-(5)", "- (5)", "-[5]", "-(\u22125)", "-~5", "-\\boxed{5}")),
        *((f"x {sign} 18", None) for sign in ("<=", ">=", "!=", "=<", "\u2264", "~=")),
        *((f"x = 3{mark} y = 5", None) for mark in (",", ";", " or", " and")),
        ("x = 3 or x = 5", None),
        ("x = 2 + 3 = 5", "5"),
        ("x = 3, so the total = 5", "5"),
        *((f"{word} 18", None) for word in ("under", "over", "up to", "exceeds", "neg", "point")),
        *((f"18{unit}", None) for unit in ("M", "k", " bn", " mil", " tenths", " gross", " score")),
        *((text, None) for text in ("$1.5m", "three 5", "zero point 5", "5 below zero")),
        *((text, "18") for text in ("18 left over", "18 more", "the score is 18", "18 m")),
        *((f"\\boxed{{{text}}}", "5") for text in ("5\\%", "5%", "\\$5", "\\text{5}")),
        *((text, "18") for text in ("18<br>", "\u00ab18\u00bb", "\u201e18\u201c", "\\fbox{18}")),
        *((text, "18") for text in ("18<|endoftext|>", "18\\,\\text{cm}", "\u200b18\ufeff")),
        *((text, "18") for text in ("\uff11\uff18", "\u0661\u0668", "\uff0b18")),
    ],
)
def test_an_answer_states_one_number_or_none(answer, number):
    assert read_number(answer) == number


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("first 2, so \\boxed{18} in 3 days", "18"),
        ("\\boxed{1} then \\boxed{\\frac{1}{2}}.", "\\frac{1}{2}"),
        ("\\boxed{", None),
        ("2 + 16 = 18\n#### 18\n\nQuestion: 5?", "18"),
        ("#### 18\n\nQuestion: 5?\nAnswer: 2 + 3 = 5\n#### 5", "18"),
        ("so \\boxed{18}.\n\n**Problem 2**: 5?\n\\boxed{5}", "18"),
        ("Question: 5?\nAnswer:\n#### 5\nnow mine\n#### 18", "18"),
        ("a question: 5?\n#### -3", "-3"),
        ("**Answer: \\$18 per day.**", "\\$18"),
        ("#### 1,200 dollars", "1,200 dollars"),
        ("\\boxed{18}\n#### 5", "18"),
        ("#### \n", None),
        ("no hashes, 18.", "18"),
        ("The answer is 5.\n\nQuestion: What is 7?\nAnswer: 8", "5"),
        ("so \\boxed{5}\nUser: 7 \\boxed{9}", "5"),
        ("Question: What is 7?\nThe answer is 8", "8"),
    ],
)
def test_what_an_explanation_ends_in(text, answer):
    assert final_answer(text) == answer


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("2.5\u00d710\u207b\u00b3", "0.0025"),
        ("3 \u00d7 10\u00b3", "3000"),
        ("5 hundred million", "500000000"),
        ("1 hundred thousand", "100000"),
        *((f"1{sign}000", "1000") for sign in "\u2007\u2008\u2009\u00a0\u02bc\u2019"),
        *((f"1{space}000", None) for space in " \u2002\u3000"),
        ("I paid 5 100.", None),
        ("5 and\n100.", "100"),
        *((f"{sign}5", "-5") for sign in "\u207b\u02d7\u2043\u2212-"),
        *((text, None) for text in ("\u20145", "is \u20145", "-**5**", "\u2212~5", "so -(5)")),
        ("dollars\u20145", "5"),
        ("- **5**", "5"),
        *(
            (text, None)
            for text in ("2\u00b3", "2**3", "1e5e5", "0.(3)", "0.\\overline{3}", "101_{2}")
        ),
        ("18 cm\u00b2", "18"),
        ("**18**", "18"),
        ("5%-3", "3"),
    ],
)
def test_the_last_number_is_no_part_of_one(text, number):
    found = last_number(f"It is {text}" if text[0].isdecimal() else text)
    assert read_number(found) == number

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
    read_tolerance,
    vote_keys,
)


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
        "1 000",
        "18 eggs",
        "--5",
        "1.2.3",
        "1_000",
        "0x10",
        "\u0663",
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


def test_arbitrary_text_never_raises_and_never_takes_long():
    rng = random.Random(1)
    alphabet = "0123456789.,-+eE$%/ \\\t\n\u2212\u20ac\u0663\x00ab"
    texts = ["".join(rng.choices(alphabet, k=rng.randint(0, 40))) for _ in range(20_000)]
    texts += [unit * 100_000 for unit in ("1", ",", "1,", " ", "-", "1.", "e1", "$", "1,111")]
    texts += ["-" + " " * 298 + "x", "1" + " " * 298 + "x", "\ud800"]
    start = time.perf_counter()
    for text in texts:
        number = canonical(text)
        assert number is None or canonical(number) == number
        assert is_correct(text, "1") in (True, False)
        assert is_correct("1", text, tolerance=Decimal("0.1")) in (True, False)
        vote_keys([text])
        found = last_number(text)
        assert found is None or found in text
    assert time.perf_counter() - start < 10


def test_is_correct_compares_exactly():
    assert is_correct("18.00", "18")
    assert is_correct("$1,000", "1000")
    assert not is_correct("0.1000000000000000000001", "0.1")
    assert not is_correct(None, "18")
    assert not is_correct("18 eggs", "18")
    assert not is_correct("p - q", "p - q")


def test_tolerance_is_absolute_inclusive_and_exact():
    tolerance = Decimal("0.001")
    assert is_correct("3244047.1", "3244047.0999999996", tolerance=tolerance)
    assert is_correct("1.001", "1", tolerance=tolerance)
    assert not is_correct("1.0010000000000000000000000000000001", "1", tolerance=tolerance)
    big = "9" * 100
    assert not is_correct(big, "-0." + "0" * 99 + "1", tolerance=Decimal(big))


def test_numbers_vote_by_value_and_silence_everything_else():
    assert vote_keys(["18.0", "$18", r"\frac{1}{2}", None]) == ("18", "18", None, None)


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
        ("(3)-2", "2"),
        ("It costs $7.50 in 3 days, i.e. $22.50!", "$22.50"),
        ("#### 18", "18"),
        ("1.5e3 grams", "1.5e3"),
        ("pay -$5", "-$5"),
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

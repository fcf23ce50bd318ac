"""How numbers look in reports."""

import pytest

from latent_tts.results.reports.table import number, percent, plus_minus, rounded


@pytest.mark.parametrize(
    ("given", "in_percent", "share"),
    [
        ((0.5, 0.01), "50.0 ± 1.0", "0.5000 ± 0.0100"),
        ((0.5, float("nan")), "50.0", "0.5000"),
        ((0.5, None), "50.0", "0.5000"),
        ((None, None), "–", "–"),
        ((float("nan"), 0.1), "–", "–"),
    ],
)
def test_a_mean_stands_with_its_error(given, in_percent, share):
    assert plus_minus(*given) == in_percent
    assert plus_minus(*given, in_percent=False) == share


@pytest.mark.parametrize(
    ("given", "shown"),
    [(float("nan"), "–"), (None, "–"), (0.05, "0.05"), (12345.6, "12,346"), (8, "8"), ("a", "a")],
)
def test_number(given, shown):
    assert number(given) == shown


@pytest.mark.parametrize(
    ("share", "shown"),
    [
        (193 / 400, "48.3"),  # 48.25 to the last bit, which formatting makes 48.2
        (115 / 400, "28.8"),  # 100 times it is 28.749999999999996
        (59 / 500, "11.8"),
        (59.25 / 500, "11.9"),
        (1e-9, "0.0"),
        (-1e-9, "0.0"),
        (1.0, "100.0"),
        (float("nan"), "–"),
    ],
)
def test_a_share_is_rounded_once_and_half_up(share, shown):
    assert percent(share) == shown


@pytest.mark.parametrize(
    ("value", "decimals", "shown"),
    [(0.00005, 4, "+0.0001"), (-0.25, 1, "-0.3"), (-0.01, 1, "+0.0"), (1e30, 0, f"+{10**30}")],
)
def test_signs_are_written_where_they_are_wanted(value, decimals, shown):
    assert rounded(value, decimals, signed=True) == shown


def test_infinity_is_written_as_it_is():
    assert rounded(float("-inf"), 1) == "-inf"

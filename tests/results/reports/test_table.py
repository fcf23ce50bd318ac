"""How numbers look in reports."""

import pytest

from latent_tts.results.reports.table import number, plus_minus


@pytest.mark.parametrize(
    ("given", "percent", "share"),
    [
        ((0.5, 0.01), "50.0 ± 1.0", "0.5000 ± 0.0100"),
        ((0.5, float("nan")), "50.0", "0.5000"),
        ((0.5, None), "50.0", "0.5000"),
        ((None, None), "–", "–"),
        ((float("nan"), 0.1), "–", "–"),
    ],
)
def test_a_mean_stands_with_its_error(given, percent, share):
    assert plus_minus(*given) == percent
    assert plus_minus(*given, percent=False) == share


@pytest.mark.parametrize(
    ("given", "shown"),
    [(float("nan"), "–"), (None, "–"), (0.05, "0.05"), (12345.6, "12,346"), (8, "8"), ("a", "a")],
)
def test_number(given, shown):
    assert number(given) == shown

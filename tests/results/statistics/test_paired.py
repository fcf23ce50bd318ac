"""Paired statistics, against published numbers, scipy, and all sign flips and coin throws."""

import math
import statistics
from itertools import product

import numpy as np
import pytest
from scipy import stats

from latent_tts.results import (
    ResultsError,
    drop_p_value,
    mcnemar,
    noise_floor,
    paired_difference,
    score_interval,
)
from latent_tts.results.statistics import holm
from tests.results.statistics import coverage_study

A = np.array([0.9, 0.4, 0.75, 1.0, 0.1])
B = np.array([0.7, 0.5, 0.25, 0.4, 0.1])


@pytest.mark.parametrize(
    ("both", "only_a", "only_b", "neither", "ends"),
    [
        (12, 26, 4, 6, (0.2548067, 0.6251933)),  # as R's statpsych::ci.prop.ps(.05, 12, 26, 4, 6)
        (5, 0, 0, 25, (-0.0866190, 0.0866190)),  # by hand: 1.959964 · sqrt(2 / 32 / 32)
        (0, 30, 0, 0, (0.8169315, 1.0)),  # 30/32 - 1.959964 · sqrt((1 - (30/32)²) / 32), and 1
    ],
)
def test_the_interval_of_right_and_wrong_is_bonett_s_and_price_s(
    both, only_a, only_b, neither, ends
):
    a = [1] * both + [1] * only_a + [0] * only_b + [0] * neither
    b = [1] * both + [0] * only_a + [1] * only_b + [0] * neither
    found = paired_difference(a, b)
    assert (found.low, found.high) == pytest.approx(ends, abs=1e-7)
    assert found.difference == pytest.approx((only_a - only_b) / len(a))
    assert found.questions == len(a)


def test_between_right_and_wrong_two_questions_are_added_too():
    differences = [*(A - B), 1, -1]
    found = paired_difference(A, B, confidence=0.8)
    half = statistics.NormalDist().inv_cdf(0.9) * statistics.pstdev(differences) / math.sqrt(7)
    centre = statistics.fmean(differences)
    assert (found.low, found.high) == pytest.approx((centre - half, centre + half))
    assert found.stderr == pytest.approx(statistics.stdev(A - B) / math.sqrt(5))


def test_counts_are_measured_by_their_own_range():
    small, large = (paired_difference(factor * A, factor * B) for factor in (10, 1000))
    for end in ("difference", "stderr", "low", "high"):
        assert getattr(large, end) == pytest.approx(100 * getattr(small, end))


def test_sides_swapped_give_the_negative():
    forth, back = paired_difference(A, B), paired_difference(B, A)
    assert forth.difference == pytest.approx(-back.difference)
    assert forth.stderr == pytest.approx(back.stderr)
    assert (forth.low, forth.high) == pytest.approx((-back.high, -back.low))


@pytest.mark.parametrize("offset", [0.0, 0.25, -1.0])
@pytest.mark.parametrize("confidence", [0.01, 0.5, 0.95])
def test_equal_differences_leave_an_interval_that_holds_them(offset, confidence):
    found = paired_difference(B + offset, B, confidence=confidence)
    assert found.difference == pytest.approx(offset)
    assert found.low <= found.difference <= found.high
    assert found.high - found.low > 0.001
    assert found.stderr == pytest.approx(0, abs=1e-12)


def test_a_wider_confidence_gives_a_wider_interval():
    narrow, wide = (paired_difference(A, B, confidence=c) for c in (0.5, 0.99))
    assert wide.low < narrow.low < narrow.high < wide.high
    narrow, wide = (score_interval(A, confidence=c) for c in (0.5, 0.99))
    assert wide.low < narrow.low < narrow.high < wide.high


@pytest.mark.parametrize(("right", "count"), [(0, 1), (0, 12), (12, 12), (1, 3), (287, 500)])
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_a_score_of_right_and_wrong_has_wilson_s_interval(right, count, confidence):
    scores = [1] * right + [0] * (count - right)
    ends = stats.binomtest(right, count).proportion_ci(confidence, method="wilson")
    assert score_interval(scores, confidence=confidence) == pytest.approx((ends.low, ends.high))


def test_a_score_of_means_has_the_interval_of_as_many_right_and_wrong():
    assert score_interval([0.5, 0.75] * 4) == score_interval([1, 1, 1, 0, 0, 1, 1, 0])


@pytest.mark.parametrize("values", [[], [[1, 0]], [1, 1.2], [math.nan, 1]])
def test_what_is_no_score_is_refused(values):
    with pytest.raises(ResultsError, match="a number from 0 to 1 for each of one question or more"):
        score_interval(values)


@pytest.mark.parametrize("name", coverage_study.DIFFERENCES)
@pytest.mark.parametrize("n", [30, 100])
def test_intervals_of_differences_hold_what_is_true_as_often_as_they_say(name, n):
    """A small coverage_study.py; of 400 intervals at 95%, 380 ± 4.4 should hold the truth."""
    share, wide = coverage_study.coverage(name, n, repetitions=400)
    assert share >= 0.92
    assert wide


@pytest.mark.slow
@pytest.mark.parametrize("name", coverage_study.DIFFERENCES)
@pytest.mark.parametrize("n", [10, 30, 100, 500])
def test_intervals_of_differences_cover_94_per_cent_at_least(name, n):
    share, wide = coverage_study.coverage(name, n, repetitions=10_000, seed=1)
    assert share >= 0.94
    assert wide


@pytest.mark.parametrize("name", coverage_study.SCORES)
@pytest.mark.parametrize("n", [10, 100])
def test_scores_have_intervals_that_hold_them_nine_times_of_ten(name, n):
    share, wide = coverage_study.coverage(name, n, repetitions=400)
    assert share >= 0.89  # Wilson's interval swings about 95%, the more the fewer are wrong
    assert wide


@pytest.mark.parametrize(("only_a", "only_b"), [(0, 0), (1, 0), (3, 9), (5, 5), (0, 7)])
def test_mcnemar_counts_and_throws_coins(only_a, only_b):
    a = [1] * only_a + [0] * only_b + [1, 0, 1]
    b = [0] * only_a + [1] * only_b + [1, 0, 1]
    n = only_a + only_b
    as_rare = [k for k in range(n + 1) if math.comb(n, k) <= math.comb(n, only_a)]
    p = sum(math.comb(n, k) for k in as_rare) / 2**n
    found = mcnemar(a, b)
    assert (found.only_a, found.only_b) == (only_a, only_b)
    assert found.p == pytest.approx(p)


def test_mcnemar_refuses_averages():
    with pytest.raises(ResultsError, match=r"right \(1\) or wrong \(0\) .* take voting@N"):
        mcnemar([1, 0.5], [1, 0])


def chance_of_falling(differences):
    """The share of all sign flips whose mean is as low, by enumeration."""
    flips = [
        math.fsum(sign * d for sign, d in zip(signs, differences, strict=True))
        for signs in product((1, -1), repeat=len(differences))
    ]
    return sum(flip <= math.fsum(differences) + 1e-12 for flip in flips) / len(flips)


@pytest.mark.parametrize(
    "differences",
    [
        [-0.5, -0.25, 0.125, -0.75, 0.0, -0.5],
        [0.5, 0.25, 0.125],
        [-1, -1, 1, 0, -1, -1, -1],  # right and wrong: the sign test
        [0, 0, 0],
        [-0.125],
        [-1 / 3, -2 / 7, 1 / 7, -0.2, 1 / 3],
        [-0.5123, 0.0171, -0.1234, -0.3456, 0.2111],  # of no common fraction
        [-3.25, 1e-9, -0.5],
    ],
)
def test_the_chance_of_a_fall_is_the_share_of_sign_flips(differences):
    old = np.full(len(differences) + 1, 0.5)
    new = old + np.array([*differences, 0.0])
    assert drop_p_value(new, old) == pytest.approx(chance_of_falling(differences))


def test_the_chance_of_a_fall_is_uniform_where_nothing_fell():
    random = np.random.default_rng(1)
    p = [drop_p_value(*random.binomial(8, random.random(40), size=(2, 40)) / 8) for _ in range(100)]
    for alpha in (0.05, 0.2, 0.5):
        share = np.mean(np.array(p) <= alpha)
        assert share <= alpha + 3 * math.sqrt(alpha * (1 - alpha) / len(p))


def test_holm_adjusts_from_the_smallest_up():
    # Holm (1979): 4 · 0.005; 3 · 0.01; max(0.03, 2 · 0.011); 1 · 0.9.
    assert holm([0.011, 0.005, 0.9, 0.01]) == pytest.approx([0.03, 0.02, 0.9, 0.03])
    assert holm([0.6, 0.7]) == [1, 1]
    assert holm([]) == []


def test_the_noise_floor_is_the_spread_over_seeds():
    runs = [[1, 0, 0.5, 1], [1, 1, 0.5, 0], [0, 1, 0.5, 0]]
    found = noise_floor(runs)
    means = [statistics.fmean(run) for run in runs]
    variances = [statistics.variance(question) for question in zip(*runs, strict=True)]
    assert found.seeds == 3
    assert found.mean == pytest.approx(statistics.fmean(means))
    assert found.spread == pytest.approx(statistics.stdev(means))
    assert found.paired_spread == pytest.approx(math.sqrt(2 * sum(variances)) / 4)


def test_the_paired_spread_foretells_how_two_seeds_differ():
    random = np.random.default_rng(2)
    p = random.random(200)
    runs = (random.random((400, 200)) < p).astype(float)
    differences = runs[::2].mean(axis=1) - runs[1::2].mean(axis=1)
    # With 200 pairs the standard deviation is known to 5%.
    assert noise_floor(runs[:4]).paired_spread == pytest.approx(differences.std(), rel=0.15)


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ([1], [1], "1 question; a comparison needs two or more"),
        ([1, 0], [1, 0, 1], r"shapes \(2,\) and \(3,\)"),
        ([[1, 0]], [[1, 0]], r"shapes \(1, 2\)"),
        ([1, math.nan], [1, 0], "not finite"),
        ([1, 0], [math.inf, 0], "not finite"),
    ],
)
@pytest.mark.parametrize("compare", [paired_difference, mcnemar, drop_p_value])
def test_what_is_no_pair_is_refused(compare, a, b, message):
    with pytest.raises(ResultsError, match=message):
        compare(a, b)


@pytest.mark.parametrize("confidence", [0, 1, 95])
def test_a_confidence_that_is_none_is_refused(confidence):
    message = rf"confidence={confidence}; it must lie between 0 and"
    with pytest.raises(ResultsError, match=message):
        paired_difference(A, B, confidence=confidence)
    with pytest.raises(ResultsError, match=message):
        score_interval(A, confidence=confidence)


def test_one_seed_has_no_noise_floor():
    with pytest.raises(ResultsError, match="1 run; a noise floor needs two seeds"):
        noise_floor([[1, 0]])

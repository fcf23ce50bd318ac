"""Stopping rules against scorio's, integrals, enumeration and Monte Carlo."""

import itertools
import math

import numpy as np
import pytest
import scorio.aggregate as scorio
from scipy import integrate, stats

from latent_tts.tasks import Pool, TaskError
from latent_tts.tasks.stopping import STOPPING_RULES, first_of, make_rule, read_rule, spent
from latent_tts.tasks.stopping.adaptive_consistency import leads_all, leads_second
from latent_tts.tasks.stopping.aggregated import leader_is_mode
from latent_tts.tasks.stopping.cges import confidence, posterior
from latent_tts.tasks.stopping.priors import read_shapes, shapes_of, write_shapes
from tests.marks import slow_but
from tests.results.made import make_pool


def random_pool(draw, size=20):
    """A pool with answers of random frequencies, some missing, and rewards."""
    shares = draw.dirichlet(np.full(5, 0.6))
    answers = [None if i == 4 else str(i) for i in draw.choice(5, size, p=shares)]
    return make_pool(*answers, rewards=list(draw.normal(0, 2, size)))


POOLS = [random_pool(np.random.default_rng(seed)) for seed in range(150)]


def first_prefix(pool, settled):
    """After how many samples a rule of another program stops, asked after each of them."""
    size = len(pool.candidates)
    for count in range(1, size):
        head = pool.candidates[:count]
        if settled([one.answer for one in head], [one.reward for one in head]):
            return count
    return size


@pytest.mark.parametrize("threshold", [0.7, 0.9, 0.95, 0.99])
@pytest.mark.parametrize("criterion", ["beta", pytest.param("dirichlet", marks=pytest.mark.slow)])
def test_adaptive_consistency_stops_where_scorio_does(threshold, criterion):
    rule = make_rule("adaptive_consistency", {"threshold": threshold, "criterion": criterion})
    theirs = {
        "beta": scorio.adaptive_consistency_stop,
        "dirichlet": scorio.adaptive_consistency_dirichlet_stop,
    }[criterion]
    for pool in POOLS[: 150 if criterion == "beta" else 20]:
        expected = first_prefix(pool, lambda keys, _: theirs(keys, threshold=threshold))
        assert spent(rule, pool, most=20) == expected


@pytest.mark.parametrize("window", [2, 3, 5, 7])
def test_esc_stops_where_scorio_does(window):
    rule = make_rule("esc", {"window": window})

    def settled(keys, _):
        return len(keys) % window == 0 and scorio.esc_stop(keys[-window:])

    assert [spent(rule, pool, most=20) for pool in POOLS] == [
        first_prefix(pool, settled) for pool in POOLS
    ]


@pytest.mark.parametrize("threshold", slow_but([0.8, 0.95], 0.8))
def test_cges_stops_and_chooses_as_scorio_does(threshold):
    rule = make_rule("cges", {"threshold": threshold})

    def settled(keys, rewards):
        return scorio.cges_stop(keys, list(map(confidence, rewards)), threshold=threshold)

    for pool in POOLS:
        count = spent(rule, pool, most=20)
        assert count == first_prefix(pool, settled)
        head = first_of(pool, count)
        chosen = rule.choose(head)
        sure = [confidence(one.reward) for one in head.candidates]
        expected = scorio.cges_vote([one.answer for one in head.candidates], sure)
        assert (chosen and chosen.answer) == expected


def test_the_posterior_of_cges_is_bayes_rule_by_hand():
    # Two answers and one that nobody gave: K = 3.
    c, d = confidence(1.0), confidence(-0.5)
    a, b, other = c * (1 - d) / 2, (1 - c) / 2 * d, (1 - c) / 2 * (1 - d) / 2
    found = posterior(["a", "b", None, "a"], [1.0, -0.5, 3.0, float("nan")])
    assert found == pytest.approx({"a": a / (a + b + other), "b": b / (a + b + other)})
    assert posterior([None, "a"], [1.0, None]) == {}


@pytest.mark.parametrize("counts", [(5, 2), (3, 3), (9, 0), (40, 31)])
def test_the_better_of_two_is_the_integral_of_a_beta_density(counts):
    one, two = counts
    density = stats.beta(one + 1, two + 1).pdf
    assert leads_second(one, two) == pytest.approx(integrate.quad(density, 0.5, 1)[0], abs=1e-9)


@pytest.mark.parametrize("counts", [(5, 2, 1), (3, 3, 3), (10, 4, 4, 2, 1)])
def test_the_best_of_all_is_what_draws_of_a_dirichlet_say(counts):
    drawn = np.random.default_rng(0).dirichlet(np.array(counts) + 1.0, 200_000)
    share = (drawn.argmax(axis=1) == 0).mean()
    assert leads_all(counts) == pytest.approx(share, abs=4 * math.sqrt(0.25 / 200_000))


SHAPES = np.array([[0.6, 0.3, 0.1, 0.0], [0.4, 0.3, 0.2, 0.1], [0.25, 0.25, 0.25, 0.25]])


def enumerated(first, second, total):
    """P(the leader has the first rank), over all counts; which of tied answers lead is chance."""
    led = every = 0.0
    for shape in SHAPES:
        for counts in itertools.product(range(total + 1), repeat=4):
            ordered = sorted(counts, reverse=True)
            if sum(counts) != total or ordered[:2] != [first, second]:
                continue
            chance = stats.multinomial(total, shape).pmf(counts)
            pairs = [
                leader
                for leader, other in itertools.permutations(range(4), 2)
                if (counts[leader], counts[other]) == (first, second)
            ]
            every += chance
            led += chance * pairs.count(0) / len(pairs)
    return led / every


@pytest.mark.parametrize(
    "told", [(3, 2, 7), (2, 2, 6), (4, 0, 4), (3, 1, 6), (3, 3, 7), (5, 1, 6), (1, 1, 3)]
)
def test_the_aggregated_posterior_is_that_of_enumeration(told):
    assert leader_is_mode(SHAPES, *told) == pytest.approx(enumerated(*told), abs=1e-12)


def test_bayes_stops_where_the_enumerated_posterior_is_enough(tmp_path):
    write_shapes([[0.6, 0.3, 0.1, 0.0], [0.4, 0.3, 0.2, 0.1]], tmp_path / "prior.json")
    shapes = read_shapes(tmp_path / "prior.json")
    rule = make_rule("bayes", {"threshold": 0.8, "prior": str(tmp_path / "prior.json")})

    def settled(keys, _):
        counts = [keys.count(key) for key in {*keys} - {None}]
        first, second, *_ = [*sorted(counts, reverse=True), 0, 0]
        return first > 0 and leader_is_mode(shapes, first, second, sum(counts)) >= 0.8

    assert [spent(rule, pool, most=20) for pool in POOLS[:60]] == [
        first_prefix(pool, settled) for pool in POOLS[:60]
    ]


def test_an_outcome_that_no_shape_allows_does_not_stop():
    assert leader_is_mode(np.array([[0.7, 0.3]]), 2, 1, 4) == 0.0


@pytest.mark.parametrize("name", list(STOPPING_RULES))
def test_waiting_draws_what_looking_after_every_sample_draws(name):
    rule = make_rule(name, {})
    for pool in POOLS[:40]:
        keys, rewards = pool.keys, [one.reward for one in pool.candidates]
        looked = next(
            (n for n in range(1, 20) if rule.settled(keys[:n], rewards[:n])), len(pool.candidates)
        )
        assert spent(rule, pool, most=20) == looked
        assert looked >= min(rule.least, 20)


def test_priors_are_shares_of_answers_in_descending_order():
    shapes = shapes_of([make_pool("1", "1", "2", None), make_pool("3"), make_pool(None)])
    assert shapes == [[2 / 3, 1 / 3], [1.0]]
    assert len(shapes_of(POOLS)) == 32
    with pytest.raises(TaskError, match="no candidate of any pool has an answer"):
        shapes_of([make_pool(None)])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ecs", "No stopping rule is called 'ecs'. Did you mean esc"),
        ("esc:window=1", "window=1; allowed are whole numbers of at least 2"),
        ("esc:window=2.5", "window=2.5; allowed are whole numbers"),
        ("esc:size=3", "esc has no parameter 'size'; it has window"),
        ("esc:window", "'window' is no NAME=VALUE"),
        ("cges:threshold=1", "threshold=1; allowed are numbers between 0 and 1"),
        ("bayes:threshold=nan", "threshold=nan; allowed are numbers between 0 and 1"),
        ("adaptive_consistency:threshold=x", "threshold='x'; allowed are numbers"),
        ("adaptive_consistency:criterion=gamma", "allowed are beta and dirichlet"),
        ("bayes:prior=nowhere.json", "the prior nowhere.json cannot be read"),
    ],
)
def test_what_is_no_rule_is_refused(text, message):
    with pytest.raises(TaskError, match=message):
        read_rule(text)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "must be JSON such as"),
        ('{"shapes": []}', "has 0 shapes; allowed are 1 to 32"),
        ('{"shapes": [[0.5, 0.6]]}', "no probabilities in descending order that sum to 1"),
        ('{"shapes": [[0.4, 0.6]]}', "no probabilities in descending order that sum to 1"),
        ('{"shapes": [[]]}', "no probabilities in descending order"),
    ],
)
def test_a_file_that_is_no_prior_is_refused(tmp_path, content, message):
    (tmp_path / "prior.json").write_text(content)
    with pytest.raises(TaskError, match=message):
        read_shapes(tmp_path / "prior.json")


def test_more_than_the_pool_has_and_rewards_that_lack_are_refused():
    with pytest.raises(TaskError, match="max = 3 samples cannot be replayed from a pool of 2"):
        spent(read_rule("esc"), make_pool("1", "1"), most=3)
    with pytest.raises(TaskError, match="cges needs rewards"):
        spent(read_rule("cges"), make_pool("1", "1"), most=2)


def test_a_rule_is_written_as_it_is_read():
    for text in ("esc:window=4", "adaptive_consistency:threshold=0.9,criterion=beta"):
        assert str(read_rule(text)) == text
    assert str(read_rule("bayes")) == "bayes:threshold=0.95"
    assert isinstance(first_of(POOLS[0], 3), Pool)

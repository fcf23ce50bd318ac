"""Votes by the leaderboard against the metrics of the tasks, over all small pools."""

import math
from decimal import Decimal
from itertools import product

import pytest
from msgspec.structs import replace

from latent_tts.results.reports.board.votes import OUTCOMES, choices, count_votes, weigh_votes
from latent_tts.tasks import STRATEGIES, Pool, pool_metrics
from tests.results.made import make_pool


def pool_of(answers):
    return make_pool(*answers)


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_every_pool_of_a_few_answers_votes_as_the_metrics_say(n):
    for answers in product(["7", "7.0", "8", "9", "many", None], repeat=n):
        votes = count_votes(pool_of(answers), "7")
        metrics = pool_metrics(make_pool(*answers), "7")
        covered, won = metrics[f"pass@{n}"] == 1, metrics[f"voting@{n}"] == 1
        assert (votes.outcome == "right") == won, answers
        assert votes.right_votes == round(metrics["pass@1"] * n), answers
        if metrics["unparsed"] < 1:
            assert votes.of_candidate.count(-1) == round(metrics["unparsed"] * n), answers
        if not won:
            assert votes.outcome == reason(answers, covered), answers
    assert set(OUTCOMES) == {"right", "outvoted", "tied", "never sampled", "unparsed"}


def reason(answers, covered):
    """Why a lost vote was lost, counted the plain way."""
    numbers = [answer for answer in answers if answer not in (None, "many")]
    given = [str(int(float(answer))) for answer in numbers] or [a for a in answers if a]
    if not given:
        return "unparsed"
    if not covered:
        return "never sampled"
    most = max(given.count(answer) for answer in given)
    return "tied" if given.count("7") == most else "outvoted"


def test_a_tolerance_makes_several_answers_right():
    votes = count_votes(pool_of(["1.0", "1.1", "2", "2"]), "1", tolerance=Decimal("0.1"))
    assert votes.right == [True, True, False]
    assert votes.right_votes == 2
    assert votes.outcome == "outvoted"  # the two right answers do not add up their votes
    assert count_votes(pool_of(["1.1"]), "1").outcome == "never sampled"


def test_answers_keep_the_order_in_which_they_came():
    votes = count_votes(pool_of(["3", None, "1", "3", "$1.00"]), "1")
    assert votes.answers == ["3", "1"]
    assert votes.counts == [2, 2]
    assert votes.of_candidate == [0, -1, 1, 0, 1]
    assert votes.winner == 0
    assert votes.outcome == "tied"


def scored(answers, rewards, beams=()):
    """A pool with rewards and beams."""
    ends = [replace(beam, reward=0.0) for beam in pool_of(beams).candidates] if beams else []
    return Pool(make_pool(*answers, rewards=rewards).candidates, tuple(ends))


def test_choices_are_what_tasks_choose_from_every_small_pool():
    rewards = [None, 0.3, 1.0, 1.0]
    for answers in product(["7", "8", None], repeat=4):
        for order in ((0, 1, 2, 3), (2, 0, 3, 1), (1, 2, 0, 0)):
            pool = scored(answers, [rewards[index] for index in order])
            votes = count_votes(pool, "7")
            found = choices(pool, votes)
            for name, strategy in STRATEGIES.items():
                if name == "first":
                    continue  # no choice
                chosen = strategy.pick(pool) if strategy.fits(pool) else None
                if chosen is None:
                    assert name not in found
                    continue
                index, answer = found[name]
                assert pool.candidates[index] is chosen, (answers, order, name)
                assert votes.of_candidate[index] == answer


def test_votes_weigh_as_their_rewards_say():
    pool = scored(["1", "7", "1", None, "2"], [0.0, 2.0, 1.0, 3.0, None])
    votes = count_votes(pool, "7")
    expected = [math.exp(-3) + math.exp(-2), math.exp(-1), 0.0]
    assert weigh_votes(pool.candidates, votes) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("beam", "expected"), [("8", (3, 1)), ("9", (3, None)), (None, (3, -1)), ("many", (3, -1))]
)
def test_the_best_beam_is_marked_with_its_answer(beam, expected):
    pool = scored(["7", "8", None], [None] * 3, beams=[beam, "7"])
    votes = count_votes(pool, "7")
    found = choices(pool, votes)
    assert found == {"voting": (0, 0), "beam_search": expected}

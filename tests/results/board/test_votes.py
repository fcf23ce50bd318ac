"""Votes by the leaderboard against the metrics of the tasks, over all small pools."""

from decimal import Decimal
from itertools import product

import pytest

from latent_tts.results.board.logs import LoggedCandidate
from latent_tts.results.board.votes import OUTCOMES, count_votes
from latent_tts.tasks import pool_metrics
from tests.results.made import make_pool


def logged(answers):
    return [
        LoggedCandidate(text="", answer=a, thoughts=0, answer_tokens=0, truncated=False)
        for a in answers
    ]


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
def test_every_pool_of_a_few_answers_votes_as_the_metrics_say(n):
    for answers in product(["7", "7.0", "8", "9", "many", None], repeat=n):
        votes = count_votes(logged(answers), "7")
        metrics = pool_metrics(make_pool(*answers), "7")
        covered, won = metrics[f"pass@{n}"] == 1, metrics[f"voting@{n}"] == 1
        assert (votes.outcome == "right") == won, answers
        assert votes.right_votes == round(metrics["pass@1"] * n), answers
        assert votes.of_candidate.count(-1) == round(metrics["unparsed"] * n), answers
        if not won:
            assert votes.outcome == reason(answers, covered), answers
    assert set(OUTCOMES) == {"right", "outvoted", "tied", "never sampled", "no answer"}


def reason(answers, covered):
    """Why a lost vote was lost, counted the plain way."""
    given = [str(int(float(answer))) for answer in answers if answer not in (None, "many")]
    if not given:
        return "no answer"
    if not covered:
        return "never sampled"
    most = max(given.count(answer) for answer in given)
    return "tied" if given.count("7") == most else "outvoted"


def test_a_tolerance_makes_several_answers_right():
    votes = count_votes(logged(["1.0", "1.1", "2", "2"]), "1", tolerance=Decimal("0.1"))
    assert votes.right == [True, True, False]
    assert votes.right_votes == 2
    assert votes.outcome == "outvoted"  # the two right answers do not add up their votes
    assert count_votes(logged(["1.1"]), "1").outcome == "never sampled"


def test_answers_keep_the_order_in_which_they_came():
    votes = count_votes(logged(["3", None, "1", "3", "$1.00"]), "1")
    assert votes.answers == ["3", "1"]
    assert votes.counts == [2, 2]
    assert votes.of_candidate == [0, -1, 1, 0, 1]
    assert votes.winner == 0
    assert votes.outcome == "tied"

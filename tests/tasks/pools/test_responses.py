"""Responses read as pools, and pools joined."""

import json
import re

import pytest

from latent_tts.tasks import Candidate, Pool, TaskError, is_pool, join_pools, read_response


def candidate(answer="18"):
    return Candidate(
        text=f"### {answer}", answer=answer, thoughts=6, answer_tokens=3, truncated=False
    )


def test_a_response_is_a_pool_or_text():
    pool = Pool((candidate(), candidate(answer="7")))
    assert is_pool(pool.to_json())
    assert read_response(pool.to_json()) == pool
    assert not is_pool("The set {1, 2} has 2 candidates")
    text = "First 3, then 1,200."
    assert read_response(text) == Pool(
        (Candidate(text=text, answer="1,200", thoughts=0, answer_tokens=0, truncated=False),)
    )
    assert read_response("").candidates[0].answer is None


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ('{1, 2} are "candidates": two of them, so 2', "2"),
        ('{"candidates": [3, 4], "answer": 7}', "7"),
        ('{"candidates": 5}', "5"),
        ('{"candidates": [{"name": "Tom"}], "votes": 9}', "9"),
        ('{"reasoning": "both \\"candidates\\" got 12 votes", "answer": 24}', "24"),
    ],
)
def test_a_text_that_speaks_of_candidates_is_a_text(text, answer):
    assert not is_pool(text)
    assert read_response(text).candidates[0].answer == answer


@pytest.mark.parametrize("end", [16, 17, 18, 25, 60])
def test_a_pool_that_was_cut_off_is_still_one(end):
    """From after the colon on; the shortest begins as nothing else does either."""
    whole = Pool((candidate(),)).to_json()
    assert is_pool(whole[:end])
    with pytest.raises(TaskError, match="a pool must be JSON"):
        read_response(whole[:end])
    spaced = json.dumps({"question": "q", **json.loads(whole)}, indent=1)
    assert read_response(spaced).candidates == (candidate(),)


def test_a_damaged_pool_is_not_taken_for_text():
    with pytest.raises(TaskError, match="a pool must be JSON"):
        read_response(Pool((candidate(),)).to_json()[:-5])


def test_a_response_that_is_not_text_is_refused():
    with pytest.raises(TaskError, match=r"must be a pool as JSON or text, but this one is None"):
        read_response(None)


def test_a_pattern_finds_the_answer_in_text():
    pattern = re.compile(r"so (\d+)|or (\d+)")
    assert read_response("or 3 so 4, 5", pattern=pattern).candidates[0].answer == "3"
    assert read_response("5", pattern=pattern).candidates[0].answer is None
    assert read_response("a5b", pattern=re.compile(r"\d")).candidates[0].answer == "5"


def test_joined_pools_keep_the_order():
    one, two = Pool((candidate(answer="1"),)), Pool((candidate(answer="2"), candidate(answer="3")))
    assert [c.answer for c in join_pools([one, two]).candidates] == ["1", "2", "3"]

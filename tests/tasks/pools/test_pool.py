"""Pools as JSON."""

import json
import math

import pytest

from latent_tts.tasks import Candidate, Pool, TaskError, join_pools


def candidate(**changes):
    fields = {
        "text": "### 18",
        "answer": "18",
        "thoughts": 6,
        "answer_tokens": 3,
        "truncated": False,
    }
    return Candidate(**(fields | changes))


def pool_json(**changes):
    row = json.loads(Pool((candidate(),)).to_json())["candidates"][0] | changes
    return json.dumps({"candidates": [{k: v for k, v in row.items() if v != "absent"}]})


def test_a_pool_survives_json():
    pool = Pool(
        (
            candidate(text='quote " and \u2028 and \n', reward=1.5, step_rewards=(0.5, -1.0)),
            candidate(answer=None, truncated=True, step_rewards=()),
        )
    )
    assert Pool.from_json(pool.to_json()) == pool


def test_the_json_is_the_documented_one():
    assert json.loads(Pool((candidate(),)).to_json()) == {
        "candidates": [
            {
                "text": "### 18",
                "answer": "18",
                "thoughts": 6,
                "answer_tokens": 3,
                "truncated": False,
            }
        ]
    }


def test_the_question_and_the_sample_are_written_where_they_are_known():
    pool = Pool((candidate(sample=0), candidate(sample=1)), question="arith-7")
    content = json.loads(pool.to_json())
    assert content["question"] == "arith-7"
    assert [row["sample"] for row in content["candidates"]] == [0, 1]
    assert Pool.from_json(pool.to_json()) == pool
    assert join_pools([pool, pool]).question == "arith-7"


def test_rewards_that_are_not_finite_become_null_and_then_nan():
    text = Pool((candidate(reward=math.nan, step_rewards=(math.inf, 1.0)),)).to_json()
    row = json.loads(text, parse_constant=pytest.fail)["candidates"][0]
    assert row["reward"] is None
    assert row["step_rewards"] == [None, 1.0]
    back = Pool.from_json(text).candidates[0]
    assert back.reward is not None
    assert math.isnan(back.reward)
    assert back.step_rewards is not None
    assert math.isnan(back.step_rewards[0])
    assert back.step_rewards[1] == 1.0


def test_fields_of_other_versions_are_dropped():
    text = json.dumps(json.loads(pool_json(score=3)) | {"date": "?"})
    assert Pool.from_json(text) == Pool((candidate(),))


def test_an_integer_reward_is_a_number_and_a_missing_one_is_none():
    assert Pool.from_json(pool_json(reward=2)).candidates[0].reward == 2.0
    assert Pool.from_json(pool_json()).candidates[0].reward is None


def test_beams_are_kept_beside_the_candidates():
    pool = Pool((candidate(),), (candidate(reward=2.0), candidate(reward=1.0)))
    assert Pool.from_json(pool.to_json()) == pool
    assert join_pools([pool, Pool((candidate(),))]).beams == pool.beams
    for text, message in (
        ('{"candidates": [], "beams": 3}', r"Expected `array`, got `int` - at `\$\.beams`"),
        ('{"candidates": [], "beams": [3]}', "beam 0 of the pool: Expected `object`, got `int`"),
    ):
        with pytest.raises(TaskError, match=message):
            Pool.from_json(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"a pool must be JSON, but '' is not"),
        ('{"candidates": [', r"a pool must be JSON.*cut off"),
        ("[" * 100_000, r"a pool must look like"),
        ("[]", r"must look like"),
        ('{"candidates": 3}', r"must look like.*Expected `array`, got `int`"),
        ('{"candidates": []}', r"at least one candidate"),
        ('{"candidates": [3]}', r"candidate 0 of the pool: Expected `object`, got `int`"),
        (pool_json(answer="absent"), r"candidate 0 of the pool lacks 'answer'"),
        (pool_json(text=None), r"candidate 0 of the pool, 'text': Expected `str`, got `null`"),
        (pool_json(answer=18), r"'answer': Expected `str \| null`, got `int`"),
        (pool_json(thoughts=1.5), r"'thoughts': Expected `int`, got `float`"),
        (pool_json(thoughts=True), r"'thoughts': Expected `int`, got `bool`"),
        (pool_json(answer_tokens=-1), r"'answer_tokens': Expected `int` >= 0"),
        (pool_json(truncated=0), r"'truncated': Expected `bool`, got `int`"),
        (pool_json(reward="high"), r"'reward': Expected `float \| null`, got `str`"),
        (pool_json(reward=10**400), r"'reward': Number out of range"),
        (pool_json(step_rewards=1), r"'step_rewards': Expected `array \| null`, got `int`"),
        (pool_json(step_rewards=[True]), r"'step_rewards': Expected `float \| null`, got `bool`"),
        (pool_json(sample=-1), r"'sample': Expected `int` >= 0"),
    ],
)
def test_a_damaged_pool_says_what_is_wrong(text, message):
    with pytest.raises(TaskError, match=message):
        Pool.from_json(text)


def test_an_empty_pool_is_refused():
    with pytest.raises(TaskError, match="at least one candidate"):
        Pool(())

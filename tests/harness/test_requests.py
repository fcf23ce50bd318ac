"""Which of lm-eval's requests ask the same question, and which part of its samples each gets."""

from copy import copy, deepcopy

import pytest

from latent_tts.harness.lm import LatentLM
from latent_tts.harness.requests import assign_responses, group_requests
from latent_tts.tasks import Pool, join_pools
from tests.harness.evaluation import make_request


def ask(number, *, text="How many?", task="counting", repeats=1, **doc):
    settings = {"return_pool": True, "max_new_tokens": 20}
    return make_request(text, settings, task=task, number=number, repeats=repeats, doc=doc)


SAME = {"one object": lambda request: request, "copies": copy, "deep copies": deepcopy}


@pytest.mark.parametrize("same", [copy, deepcopy])
def test_each_repeat_gets_its_own_part_of_the_samples(checkpoints, same):
    lm = LatentLM(str(checkpoints["coconut"]), num_return_sequences=2)
    repeated = ask(0, repeats=3)
    texts = lm.generate_until([same(repeated) for _ in range(3)], disable_tqdm=True)
    parts = [Pool.from_json(text) for text in texts]
    lm = LatentLM(str(checkpoints["coconut"]), num_return_sequences=6)
    (six,) = lm.generate_until([ask(0)], disable_tqdm=True)
    assert join_pools(parts).candidates == Pool.from_json(six).candidates
    assert len({candidate.text for part in parts for candidate in part.candidates}) > 2


@pytest.mark.parametrize("same", SAME.values(), ids=SAME)
def test_padding_gets_the_same_parts_again(same):
    requests = [ask(0, repeats=2)] * 2 + [same(ask(1, repeats=2)) for _ in range(6)]
    first, last = group_requests(requests)
    texts = assign_responses([(last, ["c", "d"]), (first, ["a", "b"])], len(requests))
    assert texts == ["a", "b", "c", "d", "c", "d", "c", "d"]


def test_equal_texts_of_two_documents_are_two_questions():
    questions = group_requests([ask(0), ask(1), ask(0, task="reckoning")])
    assert [(question.task, question.id) for question in questions] == [
        ("counting", "0"),
        ("counting", "1"),
        ("reckoning", "0"),
    ]


def test_other_settings_are_another_question():
    other = ask(0)
    other.arguments[1]["num_return_sequences"] = 5
    assert len(group_requests([ask(0), other])) == 2


@pytest.mark.parametrize(
    ("request_", "name"), [(ask(3, id="gsm-7"), "gsm-7"), (ask(3, id=7), "7"), (ask(3), "3")]
)
def test_a_question_is_named_by_its_own_id(request_, name):
    assert [question.id for question in group_requests([request_])] == [name]

"""The filters alone and inside a task of lm-eval."""

from importlib.metadata import entry_points

import pytest
from lm_eval.api.filter import FilterEnsemble
from lm_eval.filters.selection import TakeFirstFilter

from latent_tts.harness import filters
from latent_tts.tasks import STRATEGIES, Candidate, Pool, TaskError
from tests.harness.evaluation import make_request


def pool(*answers):
    return Pool(
        tuple(
            Candidate(text=f"text {i} {a}", answer=a, thoughts=6, answer_tokens=1, truncated=False)
            for i, a in enumerate(answers)
        )
    ).to_json()


def test_majority_of_a_pool_is_a_list_of_one_text_for_each_question():
    questions = [[pool("3", "7", "7.0")], [pool(None, None, "4")], [pool(None)]]
    assert filters.voting().apply(questions, [{}] * 3) == [["text 1 7"], ["text 2 4"], [""]]


def test_first_of_a_pool():
    assert filters.first().apply([[pool(None, "7"), pool("8")]], [{}]) == [["text 0 None"]]


def test_responses_to_one_question_vote_together():
    responses = ["It is 3.", pool("7", "4"), "So 7!", ""]
    assert filters.voting().apply([responses], [{}]) == [["text 0 7"]]


def test_text_without_an_answer_never_wins():
    responses = ["[invalid]", "[invalid]", "maybe 7"]
    assert filters.voting().apply([responses], [{}]) == [["maybe 7"]]
    assert filters.voting().apply([["none", ""]], [{}]) == [[""]]


def test_a_regex_says_where_the_answer_stands():
    responses = ["(A) because 3", "(B) because 3", "(B) no, 4", "3"]
    assert filters.voting(regex=r"\(([A-D])\)").apply([responses], [{}]) == [["(B) because 3"]]


@pytest.mark.parametrize("regex", ["(", 5])
def test_a_malformed_regex_is_refused(regex):
    with pytest.raises(TaskError, match=r"regex .* is not a regular expression"):
        filters.voting(regex=regex)


def test_copies_that_pad_the_last_question_do_not_vote():
    questions = [["1", "2"], ["3", "4", "4", "4"]]
    assert filters.voting().apply(questions, [{}] * 2) == [["1"], ["3"]]


def test_other_filters_can_follow():
    instance = make_request("?", {}, task="task", number=0, repeats=3)
    instance.resps = ["7", "8", "8"]
    FilterEnsemble("majority", [filters.voting, TakeFirstFilter]).apply([instance])
    assert list(instance.filtered_resps["majority"]) == ["8"]  # a text or, from 0.5 on, a list
    assert list(filters.first().apply([], [])) == []


def test_every_strategy_and_alias_has_its_entry_point():
    found = {point.name: point.value for point in entry_points(group="lm_eval.filters")}
    for name, strategy in STRATEGIES.items():
        for called in (name, *strategy.aliases):
            assert found.pop(f"latent_tts_{called}") == f"latent_tts.harness.filters:{name}"
    assert not [name for name in found if name.startswith("latent_tts_")]

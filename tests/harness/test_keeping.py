"""Samples are kept as they finish, whether or not their question is done."""

from collections import Counter

import pytest

from latent_tts.harness.keeping import Keeping
from latent_tts.harness.kept import Finished
from latent_tts.harness.pools import Sampled


class Noted:
    """A store that notes what is appended to it."""

    def __init__(self):
        self.appended = []

    def keep(self, prompt, samples):
        self.appended.append((prompt[0], [one.sample for one in samples]))


def draw(keeping, begun, question, sample):
    begun[question].drawn.append(Finished(sample, (1,), 2, False))
    done = keeping.heed(begun, question)
    if done:
        del begun[question]
    return done


def questions(*lacks):
    return {index: Sampled(index, [index], (), lack) for index, lack in enumerate(lacks)}


def test_a_question_that_is_done_is_appended_once():
    store, begun = Noted(), questions(2, 3)
    keeping = Keeping(store, seconds=1e9)
    done = [draw(keeping, begun, *one) for one in [(0, 0), (1, 0), (0, 1), (1, 2), (1, 1)]]
    assert done == [False, False, True, False, True]
    assert store.appended == [(0, [0, 1]), (1, [0, 2, 1])]


def test_what_is_finished_of_others_is_appended_in_time():
    store, begun = Noted(), questions(3, 3)
    keeping = Keeping(store, seconds=0)
    for number in range(3):
        for question in (0, 1):
            draw(keeping, begun, question, number)
            there = Counter((one, each) for one, own in store.appended for each in own)
            drawn = {(q, n) for q in (0, 1) for n in range(number + (q <= question))}
            assert set(there) == drawn  # nothing that is finished would be lost
            assert set(there.values()) == {1}  # and nothing is written twice
    assert not begun


@pytest.mark.parametrize("seconds", [0, 1e9])
def test_without_a_store_nothing_is_kept(seconds):
    begun = questions(2)
    keeping = Keeping(None, seconds=seconds)
    assert [draw(keeping, begun, 0, number) for number in range(2)] == [False, True]

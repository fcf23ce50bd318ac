"""Processes that share turns: each thing is done once, and a failure reaches all."""

import sys
import threading

import pytest
from torch.distributed import TCPStore

from latent_tts.harness.team import LostProcessError, Shift, Turns


@pytest.fixture
def stores():
    """Connections of three processes to one store."""
    first = TCPStore("localhost", 0, is_master=True, wait_for_workers=False)
    return [first, *(TCPStore("localhost", first.port, wait_for_workers=False) for _ in range(2))]


def test_every_number_is_one_processs(stores):
    taken = [[] for _ in stores]

    def work(number):
        for turn in Turns(stores[number], "turns", 300, 3):
            taken[number].append(turn)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(turn for own in taken for turn in own) == list(range(300))


def test_a_process_holds_its_share_of_what_is_left(stores):
    turns = Turns(stores[0], "turns", 10, 3)
    assert turns.share() == 4
    left = iter(turns)
    for _ in range(6):
        next(left)
    assert turns.share() == 2
    assert list(left) == [6, 7, 8, 9]
    assert turns.share() == 1
    assert Turns(stores[0], "others", 10, 1).share() == sys.maxsize


def test_what_others_hand_in_arrives_once(stores):
    leader, helper, _ = (Shift(store, "1", 3, number) for number, store in enumerate(stores))
    assert leader.told("job", {"a": 1}) == {"a": 1}
    assert helper.told("job") == {"a": 1}
    assert list(leader.handed_in()) == []
    helper.hand_in("x")
    helper.hand_in("y")
    assert list(leader.handed_in()) == ["x", "y"]
    assert list(leader.handed_in()) == []


def test_a_failure_reaches_those_who_wait(stores):
    leader, helper, other = (Shift(store, "1", 3, number) for number, store in enumerate(stores))
    with pytest.raises(ValueError, match="no"), helper:
        raise ValueError("no good")
    with pytest.raises(LostProcessError, match="Process 1 has failed: no good"), leader:
        list(leader.handed_in())
    with pytest.raises(LostProcessError, match="first process has failed"):
        other.told("job")

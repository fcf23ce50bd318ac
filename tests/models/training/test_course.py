"""The order of examples: addressed, complete, and grouped by length."""

from latent_tts.models.training import Course
from tests.models.training.conftest import PROBLEMS


def course(**changes):
    options = {"updates": 6, "batch_size": 3, "batches": 2, "seed": 0} | changes
    return Course(PROBLEMS, **options)


def test_every_pass_reads_each_example_once_in_an_order_of_its_own():
    turns = [course()[index] for index in range(36)]
    passes = [[turn.example for turn in turns[at : at + 12]] for at in (0, 12, 24)]
    assert all({id(e) for e in one} == {id(e) for e in PROBLEMS} for one in passes)
    assert passes[0] != passes[1] != passes[2]
    assert [turn.visit for turn in turns] == [0] * 12 + [1] * 12 + [2] * 12
    assert len(course()) == 36


def test_a_turn_depends_on_its_index_alone():
    whole = list(map(course().__getitem__, range(36)))
    assert [course()[index] for index in (31, 4, 17)] == [whole[31], whole[4], whole[17]]
    assert whole != list(map(course(seed=1).__getitem__, range(36)))


def test_batches_and_updates_are_counted():
    turns = [course()[index] for index in range(36)]
    assert [turn.batch for turn in turns] == [index // 3 for index in range(36)]
    assert [turn.update for turn in turns] == [index // 6 for index in range(36)]


def test_examples_of_like_length_share_a_batch():
    def length(turn):
        return len(turn.example.question) + sum(map(len, turn.example.steps))

    made = course()
    batches = [[length(made[at + i]) for i in range(3)] for at in range(0, 12, 3)]
    spread = [max(batch) - min(batch) for batch in batches]
    lengths = sorted(length for batch in batches for length in batch)
    assert sum(spread) <= lengths[-1] - lengths[0]


def test_fewer_examples_than_a_batch_are_repeated():
    made = Course(PROBLEMS[:2], updates=2, batch_size=3, batches=1, seed=0)
    assert [turn.visit for turn in map(made.__getitem__, range(6))] == [0, 0, 1, 1, 2, 2]

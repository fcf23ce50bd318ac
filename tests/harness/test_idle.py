"""How evenly questions of uneven cost are handed out, in work that is counted, not timed."""

import random

import pytest
from torch.distributed import HashStore

from latent_tts.harness.shared import idle_share
from latent_tts.harness.team import Turns


@pytest.mark.parametrize(
    ("busy", "share"),
    [([10.0, 10.0], 0.0), ([10.0, 5.0], 0.25), ([9.0, 10.0], 0.05), ([4.0, 0.0, 0.0, 0.0], 0.75)],
)
def test_the_share_is_that_of_known_times(busy, share):
    """Of two processes of which one worked for 10 s and the other for 5, a quarter is idle."""
    assert idle_share(busy) == pytest.approx(share)


def worked(costs, size, room, stores):
    """Steps that each of `size` processes works, each with room for so many questions.

    A step advances every question of a process by one. Whoever has room takes what is next.
    """
    own = [Turns(stores, "q", len(costs), size) for _ in range(size)]
    left, held, steps = [iter(turns) for turns in own], [[] for _ in own], [0] * size
    while True:
        for number, turns in enumerate(own):
            while len(held[number]) < min(room, turns.share()):
                taken = next(left[number], None)
                if taken is None:
                    break
                held[number].append(costs[taken])
        if not any(held):
            return steps
        for number, questions in enumerate(held):
            steps[number] += bool(questions)
            held[number] = [cost - 1 for cost in questions if cost > 1]


@pytest.mark.parametrize("size", [2, 4])
@pytest.mark.parametrize("room", [1, 8, 64])
@pytest.mark.parametrize("seed", range(3))
def test_no_process_idles_more_than_a_twentieth(size, room, seed):
    """150 questions of which one in ten costs ten times the others; halves would idle."""
    draw = random.Random(seed)
    costs = [draw.randint(10, 20) * draw.choice([1] * 9 + [10]) for _ in range(150)]
    costs.sort(reverse=True)  # as far as their lengths tell
    steps = worked(costs, size, room, HashStore())
    # The last question of all may be the dearest: what no order of whole questions can share.
    assert idle_share(steps) <= max(0.05, max(costs) / max(steps)), steps

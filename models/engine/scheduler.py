"""The one loop that runs whatever a source has to do: samples, completions, answers of beams.

Where memory runs out, all rows go back to the queue and half as many join.
"""

import sys
from collections.abc import Callable, Iterator

from ..backbones.protocol import LatentBackbone
from ..settings import LatentSettings
from ..trajectory import Trajectory
from .batch import Batch
from .memory import is_out_of_memory
from .step import stepping
from .waiting import Source


def run(
    model: LatentBackbone,
    settings: LatentSettings,
    source: Source,
    *,
    most_work: Callable[[], int] = lambda: sys.maxsize,
) -> Iterator[tuple[int, Trajectory]]:
    """Do all that a source has to do.

    Args:
        model: the backbone.
        settings: resolved settings.
        source: what is to be done.
        most_work: returns of how much of it rows may be in the batch now; as much as fits if not
            given.

    Yields:
        The index of the work and the trajectory of each row, as soon as it is done.

    Raises:
        ModelError: hidden states or logits that are not finite.
    """
    batch = Batch(model, settings, source, most_work)
    while batch.work_left:
        short = False
        try:
            with stepping(model, settings) as stepper:
                while batch.work_left and not batch.done:
                    batch.step(stepper)
        except Exception as error:
            short = batch.budget.rows > 1 and is_out_of_memory(error)
            if not short:
                raise
        if short:  # outside of the handler, whose traceback holds the tensors
            batch.shrink()
        done, batch.done = batch.done, []
        yield from done

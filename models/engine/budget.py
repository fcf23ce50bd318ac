"""How much is computed at once: what a device can use, what its memory holds, and halving."""

import logging
from collections.abc import Callable, Iterator
from typing import TypeVar

import torch

from ..backbones.protocol import LatentBackbone, Readable
from .memory import free_memory, is_out_of_memory, release_memory

logger = logging.getLogger(__name__)

T = TypeVar("T")

# Operations in a step that keep a thread of a CPU busy: more are hardly faster, and take memory.
_CPU_STEP = 1.1e10
_CPU_ROWS, _GPU_ROWS = (64, 512), 4096
_OWN_POSITIONS = 64  # that a row is expected to take after its prompt
_MEMORY_SHARE = 0.5  # of the free memory, for the keys and values of all rows


class Budget:
    """How many rows are advanced together, and for how many tokens keys and values are held.

    Attributes:
        rows: rows in the batch at most.
        positions: tokens whose keys and values may be held.
        row_positions: tokens that a row is expected to hold: its share of its prompt, and what it
            reads after it.
    """

    def __init__(
        self, model: LatentBackbone, *, longest: int, sharing: int, own_prompts: bool
    ) -> None:
        """Ask device and memory.

        Args:
            model: the backbone.
            longest: tokens of the longest prompt.
            sharing: rows that share a prompt.
            own_prompts: whether each row reads its prompt by itself all the same.
        """
        self.positions = most_positions(model)
        self.row_positions = _OWN_POSITIONS + -(-longest // (1 if own_prompts else sharing))
        self.rows = model.engine_options.max_rows or max(
            1,
            min(
                # Reading a prompt for each row keeps the processor busy by itself.
                _busy_rows(model) // (4 if own_prompts else 1),
                self.positions // self.row_positions,
            ),
        )

    def fits(self, held: int, rows: int) -> bool:
        """Whether so many rows may join those that hold `held` positions."""
        return not held or held + rows * self.row_positions <= self.positions

    def preempted(self) -> None:
        """Let fewer rows join from now on: answers are longer than was expected."""
        self.row_positions *= 2
        self.rows = max(1, min(self.rows, self.positions // self.row_positions))
        logger.info("Long answers: going on with %d samples in a batch.", self.rows)

    def halve(self, rows: int) -> None:
        """Let half as many rows join as there were when memory ran out."""
        self.rows = max(1, min(self.rows, rows) // 2)
        release_memory()
        logger.warning("Out of memory: going on with %d samples in a batch.", self.rows)


def in_parts(
    count: int, most: int, work: Callable[[slice], T], *, what: str
) -> Iterator[tuple[slice, T]]:
    """Do work on some of `count` things at a time, and on half as many where memory runs out.

    Args:
        count: of all things.
        most: things at once to begin with.
        work: called with the range of the things to work on.
        what: the things, for the log.

    Yields:
        Each range, and what work returned for it.

    Raises:
        Exception: what work raised, where it was not for lack of memory or one thing was too many.
    """
    done, most = 0, max(1, most)
    while done < count:
        part = slice(done, min(done + most, count))
        try:
            found = work(part)
        except Exception as error:
            if most == 1 or not is_out_of_memory(error):
                raise
            most = max(1, min(most, count - done) // 2)
        else:
            done = part.stop
            yield part, found
            del found
            continue
        # Outside of the handler, whose traceback holds the tensors.
        release_memory()
        logger.warning("Out of memory: going on with %d %s at once.", most, what)


def most_positions(model: Readable) -> int:
    """Return for how many tokens keys and values may be held: the batch's token budget."""
    config = model.config.get_text_config()
    kv_heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    position = 2 * config.num_hidden_layers * kv_heads * size * model.dtype.itemsize
    return int(free_memory(model.device) * _MEMORY_SHARE) // position


def _busy_rows(model: LatentBackbone) -> int:
    """Return how many rows keep the device busy."""
    if model.device.type != "cpu":
        return _GPU_ROWS
    least, most = _CPU_ROWS
    row = 2 * model.num_parameters(exclude_embeddings=True)
    return max(least, min(most, int(_CPU_STEP * torch.get_num_threads() / row)))

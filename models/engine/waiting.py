"""What is to be done and waits for a slot in the batch."""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import torch

from .rows import Rows
from .step import Stepper


class Source(Protocol):
    """Where rows come from: samples of questions, completions of thoughts, answers of beams.

    Work is known by an index; the rows of one share what was read before them.

    Attributes:
        longest: tokens of the longest prompt.
        sharing: rows that share a prompt.
        own_prompts: whether each row reads its prompt by itself all the same.
    """

    longest: int
    sharing: int
    own_prompts: bool

    def work(self) -> Iterable[tuple[int, Sequence[int]]]:
        """Return all that is to be done: indices, and the numbers of the samples of each."""

    def together(self, index: int) -> int:
        """Return what must be equal for work to begin in one wave."""

    def begin(
        self, stepper: Stepper, index: Sequence[int], samples: Sequence[int]
    ) -> tuple[Rows, torch.Tensor | None]:
        """Read what the samples of some work share; return their rows, work by work.

        The thoughts f[R, t, D] that they have already, if any, come with them.
        """

    def forget(self) -> None:
        """Drop what was read for later waves, because memory has run out."""


class Waiting:
    """A source's work that is not in the batch, in order.

    Work is asked for when there is room for it and no sooner, since processes may share it.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._work = iter(source.work())
        self._left: deque[tuple[int, list[int]]] = deque()

    def __bool__(self) -> bool:
        return self.at_hand or self._ask()

    @property
    def at_hand(self) -> bool:
        """Whether there is work that was asked for already."""
        return bool(self._left)

    @property
    def first(self) -> tuple[int, Sequence[int]]:
        """The work that comes next, and its samples."""
        return self._left[0]

    def _ask(self) -> bool:
        """Ask for one more piece of work; return whether there is one."""
        for index, samples in self._work:
            self._left.append((index, list(samples)))
            return True
        return False

    def put_back(self, left: Mapping[int, list[int]]) -> None:
        """Put samples at the head, work by work, with what waits of the same work."""
        samples = dict(left)
        if self._left and self._left[0][0] in samples:
            index, others = self._left.popleft()
            samples[index] = samples[index] + others
        self._left.extendleft((index, sorted(samples[index])) for index in reversed(samples))

    def take(self, most: int, *, begun: set[int], most_work: int) -> tuple[list[int], list[int]]:
        """Take a wave: part of the samples of some work, or all samples of several.

        Args:
            most: rows.
            begun: work whose samples are in the batch.
            most_work: of how much of it rows may be in the batch.

        Returns:
            The work, and the samples of each.
        """
        index, samples = self._left.popleft()
        if len(samples) > most:
            each = -(-len(samples) // -(-len(samples) // most))  # parts of like size
            self._left.appendleft((index, samples[each:]))
            return [index], samples[:each]
        wave, kind = [index], self._source.together(index)
        free = most_work - len(begun | {index})
        while len(wave) < most // len(samples):
            if not self.at_hand and (free < 1 or not self._ask()):
                break
            index, others = self._left[0]
            free -= index not in begun
            if free < 0 or others != samples or self._source.together(index) != kind:
                break
            wave.append(index)
            self._left.popleft()
        return wave, samples

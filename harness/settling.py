"""Samples that are drawn until a question's vote is settled.

Samples are looked at in order, and no more of a question are drawn together than its rule needs
before it can be settled, so none is in vain and what is drawn depends on nothing else. A question
is looked at as soon as its samples are done: what it needs further waits for the next free rows,
and those of a settled one are anybody's.
"""

import sys
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ..models import Trajectory, sample
from ..tasks.stopping import next_look
from .kept import Finished
from .pools import Reader, Sampled
from .stopping import Stop
from .turns import Turns


@dataclass
class _Open:
    """A question whose vote is not settled.

    Attributes:
        index: of the question.
        prompt: its token ids.
        there: finished samples by their indices, those of the store among them.
        look: samples that are to be there when it is looked at again; None where it is settled.
        count: samples that counted when it was settled.
        drawn: samples that were not in the store.
        new: those that are done of those that are drawn now.
    """

    index: int
    prompt: Sequence[int]
    there: dict[int, Finished]
    look: int | None
    count: int = 0
    drawn: int = 0
    new: list[Finished] = field(default_factory=list)

    @property
    def missing(self) -> tuple[int, ...]:
        """Indices of the samples that are lacking before the next look."""
        return tuple(one for one in range(self.look or 0) if one not in self.there)


def settled_samples(
    reader: Reader,
    stop: Stop,
    prompts: Sequence[Sequence[int]],
    order: Sequence[int],
    *,
    turns: Turns | None,
    batch_size: int | None,
) -> Iterator[Sampled]:
    """Yield each question as soon as it is settled, with its first samples.

    Args:
        reader: what samples are made with; N of its settings is the most that a question may spend.
        stop: when a question is settled.
        prompts: token ids of each question.
        order: the questions' indices, in the order in which they begin.
        turns: which of them are answered here, where processes share them.
        batch_size: most questions in the batch.
    """
    settling = _Settling(reader, stop, prompts, order, turns)
    least = min(stop.rule.least, reader.settings.num_return_sequences)
    for trajectory in sample(
        reader.model,
        prompts,
        reader.settings.without_beams(),
        samples=range(least),
        turns=settling,
        batch_size=batch_size,
    ):
        settling.take_in(trajectory)
        yield from settling.settled()
    yield from settling.settled()


class _Settling:
    """Which samples are drawn next; see the engine's `Turns`.

    An iterator that may have more after it had none: what a question needs further is known when
    its samples are done. Questions begin first, so that those which need most begin early; then
    those that lack the same samples follow each other, because they can join the batch together.
    """

    def __init__(
        self,
        reader: Reader,
        stop: Stop,
        prompts: Sequence[Sequence[int]],
        order: Sequence[int],
        turns: Turns | None,
    ) -> None:
        self._reader, self._stop, self._prompts = reader, stop, prompts
        self._most = reader.settings.num_return_sequences
        self._order, self._turns = order, turns
        self._numbers = iter(range(len(order)) if turns is None else turns)
        self._open: dict[int, _Open] = {}
        self._waiting: dict[tuple[int, ...], deque[_Open]] = {}
        self._settled: deque[_Open] = deque()

    def __iter__(self) -> Iterator[tuple[int, Sequence[int]]]:
        return self

    def __next__(self) -> tuple[int, Sequence[int]]:
        begun = self._begin()
        if begun is not None:
            return begun.index, begun.missing
        if not self._waiting:
            raise StopIteration
        samples = max(self._waiting, key=lambda samples: len(self._waiting[samples]))
        one = self._waiting[samples].popleft()
        if not self._waiting[samples]:
            del self._waiting[samples]
        return one.index, samples

    def share(self) -> int:
        """Return how many questions may be in the batch."""
        return sys.maxsize if self._turns is None else max(self._turns.share(), len(self._open))

    def take_in(self, trajectory: Trajectory) -> None:
        """Take a sample, and look at its question where it has all that it lacked."""
        one = self._open[trajectory.question]
        one.new.append(Finished.of(trajectory))
        if len(one.new) < len(one.missing):
            return
        if self._reader.kept is not None:
            self._reader.kept.keep(one.prompt, one.new)
        one.there |= {finished.sample: finished for finished in one.new}
        one.drawn += len(one.new)
        one.new = []
        self._look(one)
        if one.look is not None:
            self._waiting.setdefault(one.missing, deque()).append(one)

    def settled(self) -> Iterator[Sampled]:
        """Yield the questions that were settled since."""
        while self._settled:
            one = self._settled.popleft()
            first = tuple(one.there[sample] for sample in range(one.count))
            yield Sampled(one.index, one.prompt, first, one.drawn)

    def _begin(self) -> _Open | None:
        """Return a question that was not begun before and lacks samples; None for none now."""
        while self._turns is None or len(self._open) < self._turns.share():
            number = next(self._numbers, None)
            if number is None:
                return None
            index, kept = self._order[number], self._reader.kept
            found = () if kept is None else kept.find(self._prompts[index], self._most)
            look = next_look(self._stop.rule, None, most=self._most)
            there = {finished.sample: finished for finished in found}
            one = self._open[index] = _Open(index, self._prompts[index], there, look)
            self._look(one)
            if one.look is not None:
                return one
        return None

    def _look(self, one: _Open) -> None:
        """Look at a question after every number of samples at which it may be settled."""
        while one.look is not None and not one.missing:
            one.count = one.look
            first = [one.there[sample] for sample in range(one.count)]
            pool = self._reader.unscored(first).judged_by(self._stop.judge)
            one.look = next_look(self._stop.rule, pool, most=self._most)
        if one.look is None:
            self._settled.append(self._open.pop(one.index))

"""Which rows are in the batch: continuous batching.

Work waits in a queue. Rows join the batch in waves of half its size, so that there are always rows
enough for the processor, and leave it one by one. Every row's randomness is addressed and no row
sees another, so what is in the batch changes no sample.
"""

from collections.abc import Callable, Sequence

import torch

from ..backbones.protocol import LatentBackbone
from ..settings import LatentSettings
from ..trajectory import Trajectory
from . import kernels
from .budget import Budget
from .fed import Step, Told
from .prompts import among
from .record import Record
from .rows import Rows
from .step import Stepper
from .waiting import Source, Waiting


class Batch:
    """The rows in the batch, what they are samples of, and what waits.

    Attributes:
        budget: how many rows are in it at most.
        done: what is done and not yet taken.
    """

    def __init__(
        self,
        model: LatentBackbone,
        settings: LatentSettings,
        source: Source,
        most_work: Callable[[], int],
    ) -> None:
        self._model, self._source, self._most_work = model, source, most_work
        self.budget = Budget(
            model,
            longest=source.longest,
            sharing=source.sharing,
            own_prompts=source.own_prompts,
        )
        self._waiting = Waiting(source)
        self._record = Record(model, settings)
        self._rows: Rows | None = None
        self._given = False  # whether rows begin with thoughts, of whose mixtures nothing is known
        self.done: list[tuple[int, Trajectory]] = []
        self._samples: dict[int, tuple[int, int]] = {}  # work and sample of each row's index

    @property
    def work_left(self) -> bool:
        """Whether rows are in the batch or wait for it."""
        return self._rows is not None or bool(self._waiting)

    def step(self, stepper: Stepper) -> None:
        """Let waiting rows join, and feed every row its next input."""
        while wave := self._next_wave():
            self._join(stepper, *wave)
        rows = self._rows
        if rows is None:
            return
        while rows.cache.positions > self.budget.positions and len(rows) > 1:
            rows = self._preempt(rows)
        step, told = stepper.propose(rows)
        self._write(rows, step, told)
        if any(told.ended):
            self._finish(told)
            known = [1 - ended for ended in told.ended]
            rows, step = rows.leave(told.stays, known), step.select(among(told.stays, sum(known)))
        self._rows = stepper.feed(rows, step, told) if len(rows) else None

    def shrink(self) -> None:
        """Send all rows back to the queue, and let half as many join."""
        count = len(self._samples)
        self._requeue(list(self._samples))
        self._rows = None
        self._source.forget()
        kernels.stop_packing(self._model)
        self.budget.halve(count)

    def _preempt(self, rows: Rows) -> Rows:
        """Return the rows that joined last to the queue, before memory itself runs out."""
        first, *others = rows.cache.groups
        kept, held = len(first), first.positions
        if held > self.budget.positions:
            kept = max(1, kept // 2)
        for group in others:
            held += group.positions
            if held > self.budget.positions // 2:
                break
            kept += len(group)
        self._requeue(rows.index[kept:].tolist())
        self.budget.preempted()
        stays = torch.arange(len(rows), device=rows.index.device) < kept
        return rows.leave(stays, [1] * kept + [0] * (len(rows) - kept))

    def _requeue(self, rows: Sequence[int]) -> None:
        """Put samples back at the head of the queue, with what waits of the same work."""
        left: dict[int, list[int]] = {}
        for row in rows:
            index, sample = self._samples.pop(row)
            left.setdefault(index, []).append(sample)
        self._record.give_back(rows)
        self._waiting.put_back(left)

    def _write(self, rows: Rows, step: Step, told: Told) -> None:
        """Record what the rows are fed: thoughts, and tokens of answers."""
        if any(told.thinks):
            chosen = among(step.thinks, sum(told.thinks))
            made = None if step.mixture is None else step.mixture.select(chosen)
            self._record.write(
                rows.index[chosen],
                rows.thoughts[chosen],
                step.inputs[chosen],
                made,
                longest=max(told.thoughts),
            )
        for index, token, answers in zip(told.index, told.tokens, told.answers, strict=True):
            if answers:
                self._record.answer(index, token)

    def _finish(self, told: Told) -> None:
        """Take the trajectories of the rows that end, and free their indices."""
        rows = zip(told.index, told.thoughts, told.truncated, told.ended, strict=True)
        ended = [(index, thoughts, cut) for index, thoughts, cut, ends in rows if ends]
        done = []
        for index, count, cut in ended:
            work, sample = self._samples[index]
            thoughts, mixture, answer = self._record.read(index, count)
            trajectory = Trajectory(
                question=work,
                sample=sample,
                thoughts=thoughts,
                answer_ids=tuple(answer),
                truncated=bool(cut),
                mixture=None if self._given else mixture,
            )
            done.append((work, trajectory))
        for index, *_ in ended:  # all at once, so that none is lost where memory runs out above
            del self._samples[index]
        self._record.give_back([index for index, *_ in ended])
        self.done += done

    def _next_wave(self) -> tuple[list[int], list[int]] | None:
        """Take work and the samples of each from the queue; None if no more rows fit."""
        begun, most_work = {work for work, _ in self._samples.values()}, self._most_work()
        if not self._waiting.at_hand:
            late = len(begun) >= most_work
            if self._rows is not None and (late or not self._room(self._source.sharing, most_work)):
                return None  # before more is asked for, which another process may have room for
        if not self._waiting:
            return None
        index, samples = self._waiting.first
        late = index not in begun and len(begun) >= most_work
        most = self._room(len(samples), most_work)
        if not most or (late and self._rows is not None):
            return None
        return self._waiting.take(most, begun=begun, most_work=most_work)

    def _room(self, samples: int, most_work: int) -> int:
        """Return how many rows the next wave may have, of work with so many samples; 0 for none."""
        most = min(self.budget.rows, most_work * samples)
        if most_work > 1 or most < samples:
            # Two waves, so that one joins while the other ends.
            most = max(1, most // 2)
        if self._rows is not None:
            full = self.budget.rows - len(self._rows) < most
            if full or not self.budget.fits(self._rows.cache.positions, most):
                return 0
        return most

    def _join(self, stepper: Stepper, wave: list[int], samples: list[int]) -> None:
        """Read what is shared and let the samples of each work join the batch."""
        free = self._record.take(len(wave) * len(samples))
        # First, so that none is lost where memory runs out below.
        self._samples |= zip(free, ((work, one) for work in wave for one in samples), strict=True)
        rows, thoughts = self._source.begin(stepper, wave, samples)
        rows = rows.indexed(torch.tensor(free, device=rows.keys.device))
        if thoughts is not None:
            self._given = True
            self._record.fill(rows.index, thoughts)
        self._rows = rows if self._rows is None else Rows.join(self._rows, rows)

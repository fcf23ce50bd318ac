"""Completions of given trajectories as work for the scheduler.

A completion leaves a trajectory after t thoughts and goes on with randomness of its own. All
completions of a trajectory share what it has read: the prompt and its thoughts are read once, the
cache of the first t thoughts is repeated, and that of the prompt is not. Where reading itself is
random (dropout), the thought at which a completion leaves is read again under the completion's own
masks, for the next thought follows from it.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch

from ..backbones.protocol import LatentBackbone
from ..samplers import randomness
from ..settings import LatentSettings
from ..trajectory import Trajectory
from .fed import Step
from .rows import Rows
from .scheduler import run
from .step import Stepper


@dataclass(frozen=True)
class Leave:
    """Where completions leave a trajectory.

    Attributes:
        trajectory: its index among those given.
        step: thoughts t that the completions share with it.
    """

    trajectory: int
    step: int


def complete(
    model: LatentBackbone,
    prompts: Sequence[Sequence[int]],
    trajectories: Sequence[Trajectory],
    settings: LatentSettings,
    *,
    count: int,
) -> Iterator[tuple[Leave, Trajectory]]:
    """Complete trajectories `count` times from each of their thoughts but the last.

    A completion's randomness is addressed by its trajectory's address, the step and its own number,
    so it depends on no batch, and the first of more completions are those of fewer.

    Args:
        model: the backbone.
        prompts: token ids, which the trajectories' `question` counts.
        trajectories: sampled from them under the same settings; those of a question together.
        settings: the seed, the sampler and the lengths.
        count: completions M from each thought.

    Yields:
        Where it left and what came of it, the thoughts that it shares included; `sample` is its
        number.

    Raises:
        ModelError: hidden states that are not finite.
    """
    source = Rollouts(prompts, trajectories, settings, count)
    if source.leaves:
        for index, trajectory in run(model, settings, source):
            yield source.leaves[index], trajectory


class Rollouts:
    """M completions from each thought of some trajectories; see `scheduler.Source`.

    Attributes:
        leaves: what each work is.
    """

    def __init__(
        self,
        prompts: Sequence[Sequence[int]],
        trajectories: Sequence[Trajectory],
        settings: LatentSettings,
        count: int,
    ) -> None:
        """Find where completions leave: question by question, and step by step."""
        self._prompts, self._trajectories = prompts, trajectories
        self._settings, self._count = settings, count
        found = [
            Leave(number, step)
            for number, trajectory in enumerate(trajectories)
            for step in range(1, len(trajectory.thoughts))
        ]
        self.leaves = sorted(found, key=lambda leave: (self._question(leave), leave.step))
        lengths = [len(prompts[self._question(leave)]) for leave in found] or [0]
        self.longest = max(lengths)
        self.sharing, self.own_prompts = count, settings.sampler.prompt_varies
        # Of the question that was read last: its trajectories, their rows and states f[R, T, D].
        self._read: tuple[int, list[int], Rows, torch.Tensor] | None = None

    def work(self) -> Iterable[tuple[int, Sequence[int]]]:
        """Return every thought to leave after, with the numbers of the completions."""
        return ((index, range(self._count)) for index in range(len(self.leaves)))

    def together(self, index: int) -> int:
        """Return question and step as one number: rows of a group have read equally much."""
        leave = self.leaves[index]
        return self._question(leave) * (self._settings.thought_limit + 1) + leave.step

    def begin(
        self, stepper: Stepper, index: Sequence[int], samples: Sequence[int]
    ) -> tuple[Rows, torch.Tensor]:
        """Return rows that leave their trajectories after the same number of thoughts."""
        leaves = [self.leaves[one] for one in index]
        step, own = leaves[0].step, self._settings.sampler.reading_varies
        members, rows, states = self._trajectory_rows(stepper, self._question(leaves[0]))
        among = [members.index(leave.trajectory) for leave in leaves]
        chosen = torch.tensor(among, device=rows.keys.device)
        keys = randomness.branch_keys(rows.keys[chosen], step, self._count)
        chosen = chosen.repeat_interleave(len(samples))
        thoughts = torch.stack(
            [self._trajectories[members[one]].thoughts[:step] for one in among]
        ).repeat_interleave(len(samples), dim=0)
        read = step - own
        leaving = replace(
            rows.select(chosen, length=read),
            keys=keys[:, list(samples)].flatten(),
            hidden=states[chosen, step - 1],
            position=rows.position[chosen] + read,
            thoughts=torch.full_like(chosen, read),
        )
        if own:
            last = Step(chosen, torch.ones_like(leaving.thinking), thoughts[:, -1])
            leaving = stepper.feed(leaving, last)
        return leaving, thoughts

    def forget(self) -> None:
        """Read the question's trajectories again when they are needed."""
        self._read = None

    def _question(self, leave: Leave) -> int:
        return self._trajectories[leave.trajectory].question

    def _trajectory_rows(
        self, stepper: Stepper, question: int
    ) -> tuple[list[int], Rows, torch.Tensor]:
        """Return a question's trajectories, their rows, and the states after their thoughts."""
        if self._read is None or self._read[0] != question:
            self._read = None
            members = sorted(
                {leave.trajectory for leave in self.leaves if self._question(leave) == question}
            )
            own = [self._trajectories[member] for member in members]
            prompt = [self._prompts[question]]
            keys = stepper.keys(prompt, [trajectory.sample for trajectory in own])
            rows = Rows.begin(*stepper.prefill(prompt, keys), keys)
            # What stands beyond a trajectory's length is read by nobody.
            thoughts = torch.nn.utils.rnn.pad_sequence(
                [trajectory.thoughts[:-1] for trajectory in own], batch_first=True
            )
            states = stepper.read_thoughts(rows, thoughts.to(rows.hidden))
            self._read = (question, members, rows, states)
        return self._read[1:]

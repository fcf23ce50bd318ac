"""Rows that have read their thoughts as work for the scheduler: they write their answers."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch

from ..backbones.protocol import LatentBackbone
from ..settings import LatentSettings
from ..trajectory import Trajectory
from .rows import Rows
from .scheduler import run
from .step import Stepper


@dataclass(frozen=True)
class Thought:
    """Rows of one group that have read equally many thoughts, with these.

    Attributes:
        rows: R rows.
        thoughts: f[R, t, D].
    """

    rows: Rows
    thoughts: torch.Tensor


def answer(
    model: LatentBackbone,
    settings: LatentSettings,
    groups: Sequence[Thought],
    chosen: Sequence[tuple[int, int]],
) -> Iterator[tuple[int, Trajectory]]:
    """Let rows write their answers.

    Args:
        model: the backbone.
        settings: the sampler and the lengths.
        groups: rows that have read their thoughts.
        chosen: the group, and the index in it, of each row that is to answer.

    Yields:
        The index in `chosen` and the trajectory of each.
    """
    if chosen:
        yield from run(model, settings, Continued(groups, chosen))


class Continued:
    """Rows to go on with; see `scheduler.Source`."""

    def __init__(self, groups: Sequence[Thought], chosen: Sequence[tuple[int, int]]) -> None:
        """Take the rows; the keys and values of their prompts are held already."""
        self._groups, self._chosen = groups, chosen
        self.longest = 1
        self.sharing, self.own_prompts = 1, False

    def work(self) -> Iterable[tuple[int, Sequence[int]]]:
        """Return every chosen row, group by group."""
        order = sorted(range(len(self._chosen)), key=lambda index: self._chosen[index][0])
        return ((index, (0,)) for index in order)

    def together(self, index: int) -> int:
        """Return the row's group."""
        return self._chosen[index][0]

    def begin(
        self, stepper: Stepper, index: Sequence[int], samples: Sequence[int]
    ) -> tuple[Rows, torch.Tensor]:
        """Return the chosen rows of one group."""
        group = self._groups[self._chosen[index[0]][0]]
        among = torch.tensor([self._chosen[one][1] for one in index], device=group.rows.keys.device)
        return group.rows.select(among), group.thoughts[among]

    def forget(self) -> None:
        """Keep the rows: they are the caller's."""

"""The rows in the batch, and the buffers that hold what they produce until they are done."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from ..backbones.mixture import Mixture
from ..backbones.protocol import LatentBackbone
from ..settings import LatentSettings
from .cache import Group, RowCache
from .prompts import Prompts, among


@dataclass(frozen=True, kw_only=True)
class Rows:
    """The rows in the batch; each step makes new ones, which share the cache.

    Attributes:
        index: i64[R], each row's index in the record.
        keys: i64[R], its address.
        hidden: f[R, D], last hidden state at its last position.
        position: i64[R], the position its next input gets.
        thinking: bool[R].
        thoughts: i64[R], thoughts read so far.
        tokens: i64[R], tokens read so far after the first of the end marker: its others, and the
            answer's.
        cold: i64[R], for how many steps in a row each has been certain of the next token, where
            that is counted.
        cache: keys and values of what it has read.
        asking: how many rows need the head's next token; None where only the device knows.
    """

    index: torch.Tensor
    keys: torch.Tensor
    hidden: torch.Tensor
    position: torch.Tensor
    thinking: torch.Tensor
    thoughts: torch.Tensor
    tokens: torch.Tensor
    cold: torch.Tensor
    cache: RowCache
    asking: int | None = None

    def __len__(self) -> int:
        return len(self.index)

    @classmethod
    def begin(cls, hidden: torch.Tensor, prompts: Prompts, keys: torch.Tensor) -> "Rows":
        """Return rows that have read their prompts.

        Args:
            hidden: f[B, D] after each of B prompts, or f[B * N, D] where each row reads its own.
            prompts: as many.
            keys: i64[B, N], the rows' addresses.
        """
        flat = keys.flatten()
        everyone = torch.arange(len(flat), device=keys.device)
        owners = everyone.div(len(flat) // len(prompts), rounding_mode="floor")
        zeros = torch.zeros_like(flat)
        return cls(
            index=everyone,
            keys=flat,
            hidden=hidden[owners],
            position=prompts.lengths[owners],
            thinking=torch.ones_like(flat, dtype=torch.bool),
            thoughts=zeros,
            tokens=zeros,
            cold=zeros,
            cache=RowCache(Group(prompts, owners)),
        )

    @classmethod
    def join(cls, first: "Rows", second: "Rows") -> "Rows":
        """Return the rows of both, whose groups stay apart."""
        theirs = second._tensors()
        joined = {name: torch.cat((own, theirs[name])) for name, own in first._tensors().items()}
        cache = RowCache(*first.cache.groups, *second.cache.groups)
        return replace(first, **joined, cache=cache, asking=None)

    def select(self, chosen: torch.Tensor, *, length: int | None = None) -> "Rows":
        """Return new rows at the indices `chosen` i64[R'], which may repeat, of one group.

        Args:
            chosen: i64[R'].
            length: positions after the prompt to keep in the cache; all if None.
        """
        return Rows(**self._tensors(chosen), cache=self.cache.select(chosen, length=length))

    def leave(self, stays: torch.Tensor, known: Sequence[int]) -> "Rows":
        """Return the rows that stay; the cache drops the others.

        Args:
            stays: bool[R].
            known: the same on the host.
        """
        self.cache.leave(stays, known)
        return replace(self, **self._tensors(among(stays, sum(known))), asking=None)

    def indexed(self, index: torch.Tensor) -> "Rows":
        """Return the same rows at other indices i64[R] of the record."""
        return replace(self, index=index)

    def _tensors(self, chosen: torch.Tensor | slice = slice(None)) -> dict[str, Any]:
        tensors = {
            name: value for name, value in vars(self).items() if isinstance(value, torch.Tensor)
        }
        return {name: value[chosen] for name, value in tensors.items()}


class Record:
    """What rows produce, at an index for each row, which is given to another when it is done."""

    def __init__(self, model: LatentBackbone, settings: LatentSettings) -> None:
        """Begin empty.

        Args:
            model: says size, precision and device.
            settings: most thoughts.
        """
        size = model.config.get_text_config().hidden_size
        self._thoughts = torch.zeros(
            (0, settings.thought_limit, size), dtype=model.dtype, device=model.device
        )
        # Of mixtures f[R, T, K]: what each thought is made of.
        self._mixtures: Mixture | None = None
        if settings.mixing is not None:
            shape = (0, settings.thought_limit, settings.mixing.mixture_size)
            log_probs = torch.zeros(shape, device=model.device)
            self._mixtures = Mixture(log_probs.long(), log_probs)
        self._answers: list[list[int]] = []
        self._free: list[int] = []

    def take(self, count: int) -> list[int]:
        """Return free indices; the buffer grows when something is written at them."""
        lacking = count - len(self._free)
        if lacking > 0:
            old = len(self._answers)
            more = max(lacking, old)  # twice as many, so that few growths are enough
            self._answers += [[] for _ in range(more)]
            self._free = [*range(old + more - 1, old - 1, -1), *self._free]
        taken = [self._free.pop() for _ in range(count)]
        for index in taken:
            self._answers[index] = []
        return taken

    def fill(self, index: torch.Tensor, thoughts: torch.Tensor) -> None:
        """Write the thoughts f[R, t, D] that rows at `index` i64[R] begin with."""
        self._grow()
        self._thoughts[index, : thoughts.shape[1]] = thoughts.to(self._thoughts.dtype)

    def write(
        self,
        index: torch.Tensor,
        thoughts: torch.Tensor,
        inputs: torch.Tensor,
        mixture: Mixture | None = None,
    ) -> None:
        """Write the next thoughts f[R, D] of rows at `index` i64[R] that have read `thoughts`."""
        self._grow()
        self._thoughts[index, thoughts] = inputs.to(self._thoughts.dtype)
        if self._mixtures is not None and mixture is not None:
            self._mixtures.ids[index, thoughts] = mixture.ids
            self._mixtures.log_probs[index, thoughts] = mixture.log_probs

    def answer(self, index: int, token: int) -> None:
        """Append a token to a row's answer."""
        self._answers[index].append(token)

    def read(self, index: int, thoughts: int) -> tuple[torch.Tensor, Mixture | None, list[int]]:
        """Return a copy of a row's first thoughts, so many, f[T, D], and its answer.

        Between them stands what the thoughts were mixed of, where they are mixtures.
        """
        self._grow()
        mixture = None
        if self._mixtures is not None:
            mixture = Mixture(
                self._mixtures.ids[index, :thoughts].clone(),
                self._mixtures.log_probs[index, :thoughts].clone(),
            )
        return self._thoughts[index, :thoughts].clone(), mixture, self._answers[index]

    def give_back(self, index: Sequence[int]) -> None:
        """Let others have these indices."""
        self._free.extend(reversed(index))

    def _grow(self) -> None:
        lacking = len(self._answers) - len(self._thoughts)
        if lacking > 0:
            self._thoughts = _longer(self._thoughts, lacking)
            if self._mixtures is not None:
                self._mixtures = Mixture(
                    _longer(self._mixtures.ids, lacking),
                    _longer(self._mixtures.log_probs, lacking),
                )


def _longer(buffer: torch.Tensor, more: int) -> torch.Tensor:
    """Return a buffer with so many rows more, of zeros."""
    return torch.cat((buffer, buffer.new_zeros((more, *buffer.shape[1:]))))

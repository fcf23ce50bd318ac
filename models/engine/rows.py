"""The rows in the batch, and the buffers that hold what they produce until they are done."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from ..backbones.protocol import LatentBackbone
from ..settings import LatentSettings
from .cache import Group, RowCache
from .positions import position_limit
from .prompts import Prompts


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
        tokens: i64[R], answer tokens read so far.
        cache: keys and values of what it has read.
    """

    index: torch.Tensor
    keys: torch.Tensor
    hidden: torch.Tensor
    position: torch.Tensor
    thinking: torch.Tensor
    thoughts: torch.Tensor
    tokens: torch.Tensor
    cache: RowCache

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
            cache=RowCache(Group(prompts, owners)),
        )

    @classmethod
    def join(cls, first: "Rows", second: "Rows") -> "Rows":
        """Return the rows of both, whose groups stay apart."""
        theirs = second._tensors()
        joined = {name: torch.cat((own, theirs[name])) for name, own in first._tensors().items()}
        return cls(**joined, cache=RowCache(*first.cache.groups, *second.cache.groups))

    def select(self, chosen: torch.Tensor, *, length: int | None = None) -> "Rows":
        """Return new rows at the indices `chosen` i64[R'], which may repeat, of one group.

        Args:
            chosen: i64[R'].
            length: positions after the prompt to keep in the cache; all if None.
        """
        return Rows(**self._tensors(chosen), cache=self.cache.select(chosen, length=length))

    def leave(self, stays: torch.Tensor) -> "Rows":
        """Return the rows that stay, bool[R]; the cache drops the others."""
        self.cache.leave(stays)
        return replace(self, **self._tensors(stays))

    def indexed(self, index: torch.Tensor) -> "Rows":
        """Return the same rows at other indices i64[R] of the record."""
        return replace(self, index=index)

    def _tensors(self, chosen: torch.Tensor | slice = slice(None)) -> dict[str, Any]:
        return {name: value[chosen] for name, value in vars(self).items() if name != "cache"}


class Record:
    """Buffers for what rows produce, at an index for each row, given to another when it is done."""

    def __init__(self, model: LatentBackbone, settings: LatentSettings, *, shortest: int) -> None:
        """Begin empty.

        Args:
            model: says size, precision and device.
            settings: most thoughts and tokens.
            shortest: tokens of the shortest prompt; those after it are bounded by the positions.
        """
        width = max(1, min(settings.max_new_tokens - 1, position_limit(model) - shortest))
        size = model.config.get_text_config().hidden_size
        device = model.device
        self._answers = torch.zeros((0, width), dtype=torch.long, device=device)
        self._thoughts = torch.zeros(
            (0, settings.thought_limit, size), dtype=model.dtype, device=device
        )
        self._count = 0
        self._free: list[int] = []

    def take(self, count: int) -> list[int]:
        """Return free indices; the buffers grow when something is written at them."""
        lacking = count - len(self._free)
        if lacking > 0:
            old = self._count
            self._count += max(lacking, old)  # twice as many, so that few growths are enough
            self._free = [*range(self._count - 1, old - 1, -1), *self._free]
        return [self._free.pop() for _ in range(count)]

    def fill(self, index: torch.Tensor, thoughts: torch.Tensor) -> None:
        """Write the thoughts f[R, t, D] that rows at `index` i64[R] begin with."""
        self._grow()
        self._thoughts[index, : thoughts.shape[1]] = thoughts.to(self._thoughts.dtype)

    def write(
        self, rows: Rows, tokens: torch.Tensor, thinks: torch.Tensor, inputs: torch.Tensor
    ) -> None:
        """Write what rows are fed next: thoughts f[R, D] where they think on, else tokens i64[R].

        The end marker is written nowhere.
        """
        self._grow()
        self._thoughts[rows.index[thinks], rows.thoughts[thinks]] = inputs[thinks].to(
            self._thoughts.dtype
        )
        answers = ~rows.thinking
        self._answers[rows.index[answers], rows.tokens[answers]] = tokens[answers]

    def read(self, index: Sequence[int], thoughts: Sequence[int]) -> list[torch.Tensor]:
        """Return copies of the first thoughts, so many, f[T, D], of each row."""
        return [
            self._thoughts[row, :count].clone() for row, count in zip(index, thoughts, strict=True)
        ]

    def answers(self, index: torch.Tensor, longest: int) -> list[list[int]]:
        """Return the first `longest` answer tokens of the rows at `index` i64[R]."""
        found: list[list[int]] = self._answers[index, :longest].tolist()
        return found

    def give_back(self, index: Sequence[int]) -> None:
        """Let others have these indices."""
        self._free.extend(reversed(index))

    def _grow(self) -> None:
        self._answers = _longer(self._answers, self._count)
        self._thoughts = _longer(self._thoughts, self._count)


def _longer(buffer: torch.Tensor, count: int) -> torch.Tensor:
    """Return a buffer with at least `count` rows."""
    if len(buffer) >= count:
        return buffer
    return torch.cat((buffer, buffer.new_zeros((count - len(buffer), *buffer.shape[1:]))))

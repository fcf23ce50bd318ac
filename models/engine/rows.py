"""The rows in the batch: where each is, and what it has read."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

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

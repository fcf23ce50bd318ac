"""The cache of the rows in the batch: prompts that they share, and what each reads by itself."""

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn import functional
from transformers import Cache

from .buffers import append, move
from .prompts import Prompts, Slots, among

# What nobody reads any more is dropped once no more than this share is read: dropping copies the
# rest, and keeping it costs products that nobody needs.
_READ_SHARE = 0.5


class Group:
    """Rows that have read equally many positions after their prompts.

    Rows that leave only leave their slots, and the group closes up when half of them are empty.

    Attributes:
        prompts: B prompts, held once each.
        owners: i64[R], the prompt of each row.
        slots: the rows, grouped by prompt.
        length: S own positions of each row.
        keys: of each layer, f[B * M, K, capacity, d], S positions of it filled; None while empty.
        values: as `keys`.
    """

    def __init__(self, prompts: Prompts, owners: torch.Tensor) -> None:
        """Begin with rows that have read their prompts."""
        self.prompts, self.owners = prompts, owners
        self.slots = Slots.of(owners, len(prompts))
        self.length = 0
        self.keys: list[torch.Tensor | None] = [None] * len(prompts.keys)
        self.values: list[torch.Tensor | None] = [None] * len(prompts.keys)

    def __len__(self) -> int:
        return len(self.owners)

    def append(self, layer: int, key: torch.Tensor, value: torch.Tensor) -> None:
        """Append the rows' next keys and values f[R, K, n, d]; the first layer's make S grow."""
        count = key.shape[2]
        if layer == 0:
            self.length += count
        for buffers, states in ((self.keys, key), (self.values, value)):
            buffers[layer] = append(buffers[layer], self.slots.scatter(states), self.length - count)

    def attend(self, layer: int, query: torch.Tensor, count: int, dropout: float) -> torch.Tensor:
        """Attend to the prompt and to a row's own positions, by one softmax over both.

        The products with a prompt's keys and values are one matrix product for all of its rows,
        and for all query heads of a key-value head.

        Args:
            layer: its number; `append` was called for it.
            query: f[R, K, H / K * n, d], scaled, of the last n own positions.
            count: n.
            dropout: share of the weights that is dropped, in training.

        Returns:
            f[R, K, H / K * n, d].
        """
        keys, values = self.prompts.keys[layer], self.prompts.values[layer]
        own_keys, own_values = (
            torch.as_tensor(buffers[layer])[:, :, : self.length]
            for buffers in (self.keys, self.values)
        )
        query = self.slots.scatter(query)
        to_prompt = self.slots.by_prompt(query) @ keys.transpose(2, 3)
        if self.prompts.mask is not None:
            to_prompt = to_prompt.masked_fill(~self.prompts.mask[:, None, None], -torch.inf)
        to_own = query @ own_keys.transpose(2, 3)
        if count > 1:
            to_own = to_own.masked_fill(_later(count, to_own), -torch.inf)
        scores = torch.cat((self.slots.by_row(to_prompt), to_own), dim=-1)
        weights = scores.softmax(dim=-1, dtype=torch.float32).to(values.dtype)
        weights = functional.dropout(weights, dropout, training=dropout > 0)
        of_prompt, of_own = weights.split((keys.shape[2], self.length), dim=-1)
        found = self.slots.by_row(self.slots.by_prompt(of_prompt) @ values)
        return self.slots.gather(found + of_own @ own_values)

    def select(self, rows: torch.Tensor, *, length: int | None = None) -> "Group":
        """Return a group of the rows at `rows` i64[R'], which may repeat; prompts are not copied.

        Args:
            rows: i64[R'].
            length: own positions to keep; all if None.
        """
        prompts, owners = _read_only(self.prompts, self.owners[rows])
        group = Group(prompts, owners)
        group.length = self.length if length is None else length
        index = self.slots.of_rows(rows)
        for layer in range(len(self.keys)):
            for ours, theirs in ((self.keys, group.keys), (self.values, group.values)):
                theirs[layer] = move(ours[layer], index, group.slots, group.length)
        return group

    def leave(self, rows: torch.Tensor) -> "Group":
        """Return the group of the rows at `rows` i64[R'], in order; the others leave."""
        if len(rows) <= _READ_SHARE * self.slots.count:
            return self.select(rows)
        self.owners, self.slots = self.owners[rows], self.slots.leave(rows)
        return self

    @property
    def positions(self) -> int:
        """Tokens whose keys and values are held, buffers' unfilled capacity included."""
        capacity = 0 if self.keys[0] is None else self.keys[0].shape[2]
        return self.prompts.keys[0].shape[2] * len(self.prompts) + self.slots.count * capacity


class RowCache(Cache):
    """What the rows in the batch attend to, in groups that began together.

    Attributes:
        groups: one after the other, in the order of the rows.
    """

    def __init__(self, *groups: Group) -> None:
        """Take the rows of `groups`."""
        super().__init__(layers=[])
        self.groups = list(groups)

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, layer_idx: int, *args: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append f[R, K, n, d] and return it: `shared_attention` asks the groups for the rest."""
        sizes = [len(group) for group in self.groups]
        parts = zip(self.groups, key_states.split(sizes), value_states.split(sizes), strict=True)
        for group, key, value in parts:
            group.append(layer_idx, key, value)
        return key_states, value_states

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Return 0: positions are always given."""
        return 0

    def select(self, rows: torch.Tensor, *, length: int | None = None) -> "RowCache":
        """Return a cache of the rows at `rows` i64[R'] of a batch that is one group."""
        (group,) = self.groups
        return RowCache(group.select(rows, length=length))

    def leave(self, stays: torch.Tensor, known: Sequence[int]) -> None:
        """Let the rows leave that do not stay, bool[R], which the host knows too."""
        left, start = [], 0
        for group in self.groups:
            part = slice(start, start + len(group))
            start = part.stop
            rows = among(stays[part], sum(known[part]))
            if isinstance(rows, slice):
                left.append(group)
            elif len(rows):
                left.append(group.leave(rows))
        self.groups = left

    @property
    def positions(self) -> int:
        """Tokens whose keys and values are held; a prompt that groups share counts for each."""
        return sum(group.positions for group in self.groups)


def _later(count: int, scores: torch.Tensor) -> torch.Tensor:
    """Return bool[H / K * n, S]: which own positions come after each of the last n = `count`."""
    queries, positions = scores.shape[2:]
    later = torch.ones(count, positions, dtype=torch.bool, device=scores.device)
    return later.triu(positions - count + 1).repeat(queries // count, 1)


def _read_only(prompts: Prompts, owners: torch.Tensor) -> tuple[Prompts, torch.Tensor]:
    """Drop the prompts that no row reads, if they are many; return the owners' new numbers too."""
    read, numbers = owners.unique(return_inverse=True)
    if not len(read) or len(read) > _READ_SHARE * len(prompts):
        return prompts, owners
    return prompts.select(read), numbers

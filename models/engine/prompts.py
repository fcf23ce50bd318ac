"""The keys and values of prompts, once each, and the rows that read them.

The N samples of a question share its prompt, so its keys and values exist once, whatever N is, and
one matrix product serves all of its rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from ..errors import ModelError


@dataclass(frozen=True)
class Prompts:
    """The keys and values of B prompts of P tokens; never changed in place.

    Attributes:
        keys: of each layer, f[B, K, P, d] for K key-value heads.
        values: of each layer, f[B, K, P, d].
        lengths: i64[B], tokens of each prompt.
        mask: bool[B, P], False where a prompt is padded; None where none is.
    """

    keys: tuple[torch.Tensor, ...]
    values: tuple[torch.Tensor, ...]
    lengths: torch.Tensor
    mask: torch.Tensor | None

    def __len__(self) -> int:
        return len(self.lengths)

    @classmethod
    def of(cls, caches: Sequence[DynamicCache], attention_mask: torch.Tensor) -> "Prompts":
        """Take what was read of the prompts, mask i64[B, P], out of caches of some prompts each.

        Raises:
            ModelError: a layer that does not keep every position.
        """
        keys, values = [], []
        for number, layers in enumerate(zip(*(cache.layers for cache in caches), strict=True)):
            for layer in layers:
                if type(layer) is not DynamicLayer:
                    raise ModelError(
                        f"Layer {number} of the model keeps a {type(layer).__name__}; samples can "
                        "share a prompt only where every layer keeps all positions. Give a model "
                        "without sliding windows and without recurrent layers."
                    )
            keys.append(_join([layer.keys for layer in layers]))
            values.append(_join([layer.values for layer in layers]))
            for layer in layers:  # so that one layer at most is held twice
                layer.keys = layer.values = None
        mask = attention_mask.bool()
        lengths = attention_mask.sum(dim=1)
        return cls(tuple(keys), tuple(values), lengths, None if bool(mask.all()) else mask)

    def select(self, index: torch.Tensor) -> "Prompts":
        """Return copies of the prompts at `index` i64[B']."""
        return Prompts(
            tuple(keys[index] for keys in self.keys),
            tuple(values[index] for values in self.values),
            self.lengths[index],
            None if self.mask is None else self.mask[index],
        )


def _join(parts: list[torch.Tensor]) -> torch.Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts)


@dataclass(frozen=True)
class Slots:
    """R rows grouped by their prompt, M slots for each of B prompts.

    Attributes:
        prompts: B.
        width: M, most rows of a prompt; prompts with fewer have empty slots.
        index: i64[R], each row's slot of B * M; None where row r has slot r and none is empty.
    """

    prompts: int
    width: int
    index: torch.Tensor | None

    @classmethod
    def of(cls, owners: torch.Tensor, prompts: int) -> "Slots":
        """Slot rows that read the prompts `owners` i64[R]."""
        counts = torch.bincount(owners, minlength=prompts)
        width = int(counts.max())
        order = owners.argsort(stable=True)
        everyone = torch.arange(len(owners), device=owners.device)
        rank = everyone - (counts.cumsum(0) - counts)[owners[order]]
        index = torch.empty_like(owners)
        index[order] = owners[order] * width + rank
        plain = len(owners) == prompts * width and torch.equal(index, everyone)
        return cls(prompts, width, None if plain else index)

    @property
    def count(self) -> int:
        """All slots, B * M."""
        return self.prompts * self.width

    def of_rows(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the slots of the rows at `rows` i64[R']."""
        return rows if self.index is None else self.index[rows]

    def leave(self, rows: torch.Tensor) -> "Slots":
        """Return the same slots with the rows at `rows` i64[R'] alone."""
        return Slots(self.prompts, self.width, self.of_rows(rows))

    def scatter(self, rows: torch.Tensor) -> torch.Tensor:
        """Return f[B * M, …] of f[R, …], zero at empty slots."""
        if self.index is None:
            return rows
        return rows.new_zeros((self.count, *rows.shape[1:])).index_copy(0, self.index, rows)

    def gather(self, laid_out: torch.Tensor) -> torch.Tensor:
        """Return f[R, …] of f[B * M, …]."""
        return laid_out if self.index is None else laid_out[self.index]

    def by_prompt(self, laid_out: torch.Tensor) -> torch.Tensor:
        """Return f[B, K, M * n, d] of f[B * M, K, n, d]."""
        return laid_out.unflatten(0, (self.prompts, self.width)).transpose(1, 2).flatten(2, 3)

    def by_row(self, grouped: torch.Tensor) -> torch.Tensor:
        """Return f[B * M, K, n, d] of f[B, K, M * n, d]."""
        return grouped.unflatten(2, (self.width, -1)).transpose(1, 2).flatten(0, 1)


def among(chosen: torch.Tensor, count: int) -> torch.Tensor | slice:
    """Return which rows are chosen, bool[R], as indices: all, or i64[count].

    The host gives their number, so that it need not wait for the device to count them.
    """
    if count == len(chosen):
        return slice(None)
    return chosen.logical_not().to(torch.uint8).argsort(stable=True)[:count]


def pad_left(prompts: Sequence[Sequence[int]], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return input_ids and attention_mask, both i64[B, P], of prompts padded on the left."""
    width = max(len(prompt) for prompt in prompts)
    ids = [[pad] * (width - len(prompt)) + list(prompt) for prompt in prompts]
    mask = [[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts]
    return torch.tensor(ids), torch.tensor(mask)

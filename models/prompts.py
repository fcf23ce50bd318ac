"""The keys and values of prompts, once each, and the rows that read them.

The N samples of a question share its prompt, so its keys and values exist once, whatever N is, and
one matrix product serves all of its rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from .errors import ModelError


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
        for place, layers in enumerate(zip(*(cache.layers for cache in caches), strict=True)):
            for layer in layers:
                if type(layer) is not DynamicLayer:
                    raise ModelError(
                        f"Layer {place} of the model keeps a {type(layer).__name__}; samples can "
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

    def select(self, places: torch.Tensor) -> "Prompts":
        """Return copies of the prompts at `places` i64[B']."""
        return Prompts(
            tuple(keys[places] for keys in self.keys),
            tuple(values[places] for values in self.values),
            self.lengths[places],
            None if self.mask is None else self.mask[places],
        )


def _join(parts: list[torch.Tensor]) -> torch.Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts)


@dataclass(frozen=True)
class Seats:
    """R rows seated by their prompt, M seats for each of B prompts.

    Attributes:
        prompts: B.
        width: M, most rows of a prompt; prompts with fewer have empty seats.
        places: i64[R], each row's seat of B * M; None where row r has seat r and none is empty.
    """

    prompts: int
    width: int
    places: torch.Tensor | None

    @classmethod
    def of(cls, owners: torch.Tensor, prompts: int) -> "Seats":
        """Seat rows that read the prompts `owners` i64[R]."""
        counts = torch.bincount(owners, minlength=prompts)
        width = int(counts.max())
        order = owners.argsort(stable=True)
        everyone = torch.arange(len(owners), device=owners.device)
        rank = everyone - (counts.cumsum(0) - counts)[owners[order]]
        places = torch.empty_like(owners)
        places[order] = owners[order] * width + rank
        plain = len(owners) == prompts * width and torch.equal(places, everyone)
        return cls(prompts, width, None if plain else places)

    @property
    def count(self) -> int:
        """All seats, B * M."""
        return self.prompts * self.width

    def of_rows(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the seats of the rows at `rows` i64[R']."""
        return rows if self.places is None else self.places[rows]

    def leave(self, rows: torch.Tensor) -> "Seats":
        """Return the same seats with the rows at `rows` i64[R'] alone."""
        return Seats(self.prompts, self.width, self.of_rows(rows))

    def seat(self, rows: torch.Tensor) -> torch.Tensor:
        """Return f[B * M, …] of f[R, …], zero at empty seats."""
        if self.places is None:
            return rows
        return rows.new_zeros((self.count, *rows.shape[1:])).index_copy(0, self.places, rows)

    def unseat(self, seated: torch.Tensor) -> torch.Tensor:
        """Return f[R, …] of f[B * M, …]."""
        return seated if self.places is None else seated[self.places]

    def by_prompt(self, seated: torch.Tensor) -> torch.Tensor:
        """Return f[B, K, M * n, d] of f[B * M, K, n, d]."""
        return seated.unflatten(0, (self.prompts, self.width)).transpose(1, 2).flatten(2, 3)

    def by_row(self, grouped: torch.Tensor) -> torch.Tensor:
        """Return f[B * M, K, n, d] of f[B, K, M * n, d]."""
        return grouped.unflatten(2, (self.width, -1)).transpose(1, 2).flatten(0, 1)

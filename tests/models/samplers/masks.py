"""What dropout does to a model, as its own hooks see it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch


@dataclass
class Seen:
    """What became of each number that feed-forward layers put out.

    Attributes:
        positions: of each pass, i64[R, S].
        factors: of each pass, f[R, S, L, D] for L layers: 1 where nothing was dropped.
    """

    positions: list[torch.Tensor] = field(default_factory=list)
    factors: list[torch.Tensor] = field(default_factory=list)

    def masked(self) -> set[int]:
        """The positions at which something was dropped."""
        found = set()
        for positions, factors in zip(self.positions, self.factors, strict=True):
            found |= set(positions[(factors != 1).flatten(2).any(dim=2)].tolist())
        return found

    def of_row(self, row: int, rows: int) -> torch.Tensor:
        """The factors f[S, L, D] of one row at the positions that were read by so many rows."""
        return torch.cat([factors[row] for factors in self.factors if len(factors) == rows])


@contextmanager
def seeing_masks(model: Any) -> Iterator[Seen]:
    """Compare what each feed-forward layer computes with what the block is given of it.

    A block's last layer is where dropout is applied; these hooks are there first, so they see what
    it computed, and the whole feed-forward module returns what is left of that.
    """
    seen, computed, left = Seen(), [], []
    hooks = [
        model.base_model.register_forward_pre_hook(
            lambda module, args, given: seen.positions.append(given["position_ids"]),
            with_kwargs=True,
        )
    ]
    for name, module in model.named_modules():
        if name.endswith((".mlp.c_proj", ".mlp.down_proj")):
            hooks.append(module.register_forward_hook(lambda *given: computed.append(given[2])))
        if name.endswith(".mlp"):
            hooks.append(module.register_forward_hook(lambda *given: left.append(given[2])))

    def end(*given: Any) -> None:
        seen.factors.append(torch.stack(left, dim=2) / torch.stack(computed, dim=2))
        computed.clear()
        left.clear()

    hooks.append(model.base_model.register_forward_hook(end))
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()

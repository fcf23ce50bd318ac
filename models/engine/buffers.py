"""Buffers of rows' own keys and values, made in advance, which double where they are full."""

import torch

from .prompts import Slots

_FIRST_POSITIONS = 16


def append(old: torch.Tensor | None, new: torch.Tensor, length: int) -> torch.Tensor:
    """Return a buffer that holds the first `length` positions of the old one, and the new ones."""
    if new.requires_grad:  # a gradient needs every state as it was: nothing is written over
        return new if old is None else torch.cat((old[:, :, :length], new), dim=2)
    total = length + new.shape[2]
    if old is None or old.shape[2] < total:
        larger = new.new_empty(
            (*new.shape[:2], max(_FIRST_POSITIONS, total, 2 * length), new.shape[3])
        )
        if old is not None:
            larger[:, :, :length] = old[:, :, :length]
        old = larger
    old[:, :, length:total] = new
    return old


def move(
    old: torch.Tensor | None, index: torch.Tensor, slots: Slots, length: int
) -> torch.Tensor | None:
    """Return a buffer with the rows at the old slots `index` i64[R] at their new slots."""
    if old is None:
        return None
    if slots.index is None:
        return old[index]
    new = old.new_zeros((slots.count, *old.shape[1:]))
    new[slots.index, :, :length] = old[index, :, :length]
    return new

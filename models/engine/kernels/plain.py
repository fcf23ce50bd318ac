"""No kernels: what takes the place of those that cannot be imported."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch

from ...backbones.protocol import Readable

HEAD_TOKENS = 1 << 30  # the head is never in parts


@contextmanager
def fast(model: Readable) -> Iterator[None]:
    """Change nothing."""
    yield


def drop_stale(model: Readable) -> None:
    """Do nothing, because nothing is packed."""


def stop_packing(model: Readable) -> None:
    """Do nothing, because nothing is packed."""


def packed_head(model: Readable) -> Sequence[Callable[[torch.Tensor], torch.Tensor]]:
    """Return nothing, because nothing is packed."""
    return []

"""Digests that tell weights and data from others, whatever folder they lie in."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import torch

from .backbones.protocol import Readable

SAMPLING_VERSION = 1
"""Raised when the same model, settings and address give another sample than before."""


def checkpoint_digest(model: Readable, *, without: tuple[str, ...] = ()) -> str:
    """Return a digest of a model's weights, the same in whatever folder or precision they lie.

    It says which weights a model has, so reward models and shards carry it. `weights_sha256` of a
    run's record is another: it says which files were read, and is there without a model. float16
    and bfloat16 are hashed as the float32 values that they stand for.

    Args:
        model: any.
        without: modules whose weights are left out.
    """
    left_out = tuple(f"{module}." for module in without)
    weights = sorted(
        item for item in model.state_dict().items() if not item[0].startswith(left_out)
    )
    return digest(
        part
        for name, tensor in weights
        for part in (
            name.encode(),
            _bytes(tensor.float() if tensor.is_floating_point() else tensor),
        )
    )


def tensors_digest(tensors: Mapping[str, torch.Tensor]) -> str:
    """Return a digest of named tensors: names, shapes and values."""
    return digest(
        part
        for name, tensor in sorted(tensors.items())
        for part in (f"{name}{list(tensor.shape)}".encode(), _bytes(tensor))
    )


def _bytes(tensor: torch.Tensor) -> Any:
    return tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()


def digest(parts: Iterable[Any]) -> str:
    """Return a digest of bytes, one part after the other."""
    state = hashlib.blake2b(digest_size=16)
    for part in parts:
        state.update(part)
    return state.hexdigest()

"""Precisions of weights, by name."""

from typing import Any

import torch

from .errors import ModelError


def read_dtype(dtype: Any, *, also: str = "") -> torch.dtype:
    """Return torch's type of a name such as `float16`.

    Args:
        dtype: the name, or the type itself.
        also: what else is allowed where it is asked for, for the message: `auto, `.

    Raises:
        ModelError: no type of numbers with a fraction.
    """
    found = getattr(torch, dtype.removeprefix("torch."), None) if isinstance(dtype, str) else dtype
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        raise ModelError(f"dtype={dtype!r}; allowed are {also}float32, bfloat16 and float16.")
    return found

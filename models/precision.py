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


def choose_dtype(dtype: str | torch.dtype | None, device_map: object) -> torch.dtype | str:
    """Return in what precision to load weights: as asked for, else what suits the device.

    Args:
        dtype: None and "auto" are float32 on a CPU, and elsewhere "auto": the checkpoint's own.
        device_map: as in transformers.

    Raises:
        ModelError: no type of numbers with a fraction.
    """
    if dtype in (None, "auto"):
        where = str(device_map).partition(":")[0]
        on_cpu = where in ("None", "cpu") or not torch.cuda.is_available()
        return torch.float32 if on_cpu else "auto"
    return read_dtype(dtype, also="auto, ")

"""Files of safetensors, and of what numbers weights are."""

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file

from ..errors import ModelError

_LISTED = 3
# As headers of safetensors have them, and torch.
FLOATS = frozenset({"F64", "F32", "F16", "BF16", "float64", "float32", "float16", "bfloat16"})
"""Numbers with a fraction that need no scale beside them."""


def is_safetensors(path: Path) -> bool:
    """Return whether a file is safetensors, whose header is JSON behind its length, or says so."""
    if path.suffix == ".safetensors":
        return True
    try:
        with path.open("rb") as stream:
            head = stream.read(9)
    except OSError:
        return False  # whoever reads it says why
    return head[8:] == b"{" and int.from_bytes(head[:8], "little") < path.stat().st_size


def safetensors_kinds(path: Path) -> dict[str, str]:
    """Return of what numbers a file's weights are, by its header alone: name -> `F32` or the like.

    Raises:
        ModelError: it cannot be read.
    """
    try:
        with safe_open(path, "pt") as opened:
            return {name: opened.get_slice(name).get_dtype() for name in opened.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise _no_safetensors(path, error) from error


def read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    """Return a file's weights by name.

    Raises:
        ModelError: it cannot be read.
    """
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise _no_safetensors(path, error) from error


def _no_safetensors(path: Path, error: Exception) -> ModelError:
    return ModelError(f"{path} cannot be read as safetensors: {error}")


def kind_of_numbers(tensor: torch.Tensor) -> str:
    """Return of what numbers a tensor is, such as `float32`, or how else it is laid out."""
    if tensor.layout is not torch.strided:
        return str(tensor.layout).removeprefix("torch.")
    return str(tensor.dtype).removeprefix("torch.")


def listed(names: Sequence[str]) -> str:
    """Return the first of some names, and how many more there are."""
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more

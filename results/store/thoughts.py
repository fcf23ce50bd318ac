"""The thoughts of a question's samples: a safetensors file whose name ends with its digest."""

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from ...files import write_at_once
from .rows import StoreError


def content_digest(content: bytes) -> str:
    """Return a digest of a file's content."""
    return hashlib.blake2b(content, digest_size=8).hexdigest()


def write_thoughts(folder: Path, question: str, thoughts: Mapping[str, NDArray[np.float16]]) -> str:
    """Write thoughts f16[T, D] by the indices of their samples; return the file's name.

    Raises:
        OSError: they cannot be written.
    """
    content = save(dict(thoughts))
    name = f"{question}-{content_digest(content)}.safetensors"
    folder.mkdir(parents=True, exist_ok=True)
    write_at_once(folder / name, content)
    return name


def read_thoughts(path: Path, sample: int) -> NDArray[np.float16]:
    """Return the thoughts f16[T, D] of a question's sample.

    Raises:
        StoreError: the file is missing or damaged, or does not hold them.
    """
    found = _read(path).get(str(sample))
    if found is None or found.ndim != 2 or found.dtype != np.float16:
        raise StoreError(
            f"{path} does not hold the thoughts of sample {sample}. Put the store aside, or give "
            "another store=."
        )
    return found


@lru_cache(maxsize=4)
def _read(path: Path) -> dict[str, NDArray[np.float16]]:
    try:
        content = path.read_bytes()
        if content_digest(content) != path.stem.rpartition("-")[2]:
            raise StoreError(f"{path} is damaged: its digest is not that of its name.")
        return load(content)
    except (OSError, SafetensorError, StoreError) as error:
        raise StoreError(
            f"Thoughts that the store holds cannot be read: {error} Put the store aside, or give "
            "another store=."
        ) from error

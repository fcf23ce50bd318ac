"""The thoughts of a question's samples: a safetensors file whose name ends with its digest."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from ...files import write_at_once
from .rows import StoreError


def content_digest(content: bytes) -> str:
    """Return a digest of a file's content."""
    return hashlib.blake2b(content, digest_size=8).hexdigest()


@dataclass(frozen=True)
class Mixed:
    """Of which tokens a sample's thoughts are mixed.

    Attributes:
        ids: i32[T, K].
        log_probs: f32[T, K], logarithms of the weights; -inf for what is left out.
    """

    ids: NDArray[np.int32]
    log_probs: NDArray[np.float32]


def write_thoughts(
    folder: Path,
    question: str,
    thoughts: Mapping[int, NDArray[np.float16]],
    mixtures: Mapping[int, Mixed],
) -> str:
    """Write thoughts f16[T, D] by the indices of their samples; return the file's name.

    Args:
        folder: where to.
        question: whose samples.
        thoughts: of each sample.
        mixtures: of those samples whose thoughts are mixtures.

    Raises:
        OSError: they cannot be written.
    """
    tensors: dict[str, NDArray[Any]] = {f"{sample}": own for sample, own in thoughts.items()}
    for sample, mixed in mixtures.items():
        tensors |= {f"{sample}.ids": mixed.ids, f"{sample}.log_probs": mixed.log_probs}
    content = save(tensors)
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


def read_mixed(path: Path, sample: int) -> Mixed | None:
    """Return of what a sample's thoughts are mixed; None where that is not kept.

    Raises:
        StoreError: the file is missing or damaged.
    """
    tensors = _read(path)
    ids, log_probs = tensors.get(f"{sample}.ids"), tensors.get(f"{sample}.log_probs")
    if ids is None or log_probs is None:
        return None
    if ids.ndim != 2 or ids.shape != log_probs.shape:
        raise StoreError(f"{path} holds mixtures of sample {sample} that do not fit together.")
    return Mixed(ids, log_probs)


@lru_cache(maxsize=4)
def _read(path: Path) -> dict[str, NDArray[Any]]:
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

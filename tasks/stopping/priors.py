"""How a model's answers are usually distributed: what Bayesian stopping knows beforehand."""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from ..errors import TaskError
from ..pools.pool import Pool
from .protocol import counts_of

Floats = NDArray[np.float64]

MOST_SHAPES = 32
"""Shapes that a prior holds at most: more of them make stopping slow and no wiser."""


def geometric_shapes(leading: Sequence[float], *, answers: int) -> Floats:
    """Return shapes f64[S, K] in which each answer is as much less probable than the one before.

    Args:
        leading: probabilities of the leading answer, if there were no end of answers.
        answers: K.
    """
    first = np.asarray(leading, dtype=float)[:, None]
    shapes = first * (1 - first) ** np.arange(answers)
    return np.asarray(shapes / shapes.sum(axis=1, keepdims=True))


DEFAULT_SHAPES = geometric_shapes([0.05 + 0.1 * step for step in range(10)], answers=16)
"""The prior where none is given: leading answers of 5%, 15%, …, 95%, then geometrically less."""


class _File(msgspec.Struct, forbid_unknown_fields=True):
    """A prior as it is written."""

    shapes: list[list[float]]


def shapes_of(pools: Iterable[Pool]) -> list[list[float]]:
    """Return the shares of each question's answers, in descending order, of at most 32 questions.

    Of more questions those are taken that lie evenly between the surest and the least sure one.

    Raises:
        TaskError: no pool has an answer.
    """
    counts = sorted(found for pool in pools if (found := counts_of(pool.keys)))
    if not counts:
        raise TaskError("no candidate of any pool has an answer, so no prior can be made of them.")
    shares = sorted([count / sum(own) for count in own] for own in counts)
    if len(shares) > MOST_SHAPES:
        shares = [shares[int(i)] for i in np.linspace(0, len(shares) - 1, MOST_SHAPES).round()]
    return shares


def write_shapes(shapes: Sequence[Sequence[float]], path: Path) -> None:
    """Write a prior for `read_shapes`."""
    path.write_bytes(msgspec.json.encode(_File([list(own) for own in shapes])) + b"\n")


def read_shapes(path: Path) -> Floats:
    """Read a prior.

    Returns:
        f64[S, K], shorter shapes filled up with zeros.

    Raises:
        TaskError: the file cannot be read, or what it holds are no probabilities.
    """
    try:
        shapes = msgspec.json.decode(path.read_bytes(), type=_File).shapes
    except OSError as error:
        raise TaskError(f"the prior {path} cannot be read: {error.strerror or error}.") from error
    except msgspec.DecodeError as error:
        raise TaskError(
            f'the prior {path} must be JSON such as {{"shapes": [[0.7, 0.2, 0.1]]}}: {error}. '
            "Make one with latent-tts adaptive RUN --write-prior FILE."
        ) from error
    for number, own in enumerate(shapes):
        whole = bool(own) and all(0 <= share <= 1 for share in own)
        if not whole or abs(sum(own) - 1) > 1e-6 or sorted(own, reverse=True) != own:
            raise TaskError(
                f"the prior {path}, shape {number}: {own[:8]!r} are no probabilities in descending "
                "order that sum to 1."
            )
    if not 1 <= len(shapes) <= MOST_SHAPES:
        raise TaskError(f"the prior {path} has {len(shapes)} shapes; allowed are 1 to 32.")
    longest = max(map(len, shapes))
    return np.array([[*own, *[0.0] * (longest - len(own))] for own in shapes])


def prior_digest(path: Path) -> str:
    """Return a digest of a prior's file, for records."""
    return hashlib.blake2b(path.read_bytes(), digest_size=8).hexdigest()

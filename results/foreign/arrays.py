"""numpy's files: arrays of outcomes and scores, never pickled objects."""

import math
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import ResultsError

Outcomes = NDArray[np.int8]
Floats = NDArray[np.float64]
_HOW = "Expected whole numbers 0 (wrong) and 1 (right), a row a question and a column a sample."


def is_array(file: Path) -> bool:
    """Return whether a file begins as numpy's do."""
    with file.open("rb") as stream:
        start = stream.read(6)
    return start == b"\x93NUMPY" or start.startswith(b"PK")


def read_arrays(file: Path) -> tuple[Outcomes, Floats | None]:
    """Read outcomes, i8[M, N] of 0 and 1, and scores, f64[M, N], where there are some.

    Scores that are no numbers are NaN.

    Raises:
        ResultsError: pickled objects, a damaged file, or arrays of another kind or shape.
    """
    try:
        with file.open("rb") as stream:  # numpy itself leaves a damaged file open
            loaded = np.load(stream, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                return _outcomes(loaded, file), None
            names = loaded.files
            name = "R" if "R" in names else names[0] if len(names) == 1 else None
            if name is None:
                raise ResultsError(
                    f"{file} holds the arrays {', '.join(names) or 'none'}. Call that of the "
                    "outcomes R."
                )
            outcomes = _outcomes(loaded[name], file)
            scores = loaded["scores"] if "scores" in names else None
    except (ValueError, OSError, EOFError, MemoryError, zipfile.BadZipFile) as error:
        raise ResultsError(
            f"{file} cannot be read as numpy's array: {error}. Pickled objects are never read. "
            f"{_HOW}"
        ) from error
    if scores is None:
        return outcomes, None
    if scores.shape != outcomes.shape or scores.dtype.kind not in "fiu":
        raise ResultsError(
            f"{file}: scores are {scores.dtype}{list(scores.shape)}, and must be numbers "
            f"{list(outcomes.shape)}, as R is."
        )
    finite = scores.astype(np.float64)
    return outcomes, np.where(np.isfinite(finite), finite, math.nan)


def _outcomes(array: NDArray[np.generic], file: Path) -> Outcomes:
    """Return a matrix of outcomes; one row of them is one question, as for scorio."""
    if array.ndim == 3:
        raise ResultsError(
            f"{file} holds the outcomes of {len(array)} models, {list(array.shape)}. A run is one "
            "model's: save each R[l] as a file of its own."
        )
    matrix = array.reshape(1, -1) if array.ndim == 1 else array
    if matrix.ndim != 2 or not matrix.size or matrix.dtype.kind not in "biuf":
        raise ResultsError(f"{file} holds {array.dtype}{list(array.shape)}. {_HOW}")
    strange = matrix[~np.isin(matrix, (0, 1))]
    if strange.size:
        raise ResultsError(
            f"{file} holds {strange[0]}. {_HOW} Of several categories save which are right, such "
            "as R == 2."
        )
    return matrix.astype(np.int8)

"""The error that a wrong checkpoint, setting or input raises."""

from collections.abc import Sequence
from typing import Any

from ..errors import LatentTTSError


class ModelError(LatentTTSError):
    """A checkpoint, a setting or an input that cannot be used; the message says what to do."""


def check_finite(finite: Sequence[int], what: str, model: Any) -> None:
    """Raise ModelError where not every row's values are finite, as told for each."""
    if not all(finite):
        raise ModelError(
            f"{len(finite) - sum(finite)} of {len(finite)} rows have {what} that are NaN or "
            f"infinite: the sampler is too strong, or the weights of {model.name_or_path!r} or its "
            f"precision ({model.dtype}) are at fault. Try latent_do_sample=false, then "
            "dtype=float32."
        )

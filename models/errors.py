"""The error that a wrong checkpoint, setting or input raises."""

from typing import Any

import torch

from ..errors import LatentTTSError


class ModelError(LatentTTSError):
    """A checkpoint, a setting or an input that cannot be used; the message says what to do."""


def check_finite(values: torch.Tensor, what: str, model: Any) -> None:
    """Raise ModelError where one of the rows' values f[R, …] is NaN or infinite."""
    finite = torch.isfinite(values).reshape(len(values), -1).all(dim=1)
    if not bool(finite.all()):
        raise ModelError(
            f"{int((~finite).sum())} of {len(finite)} rows have {what} that are NaN or infinite: "
            f"the sampler is too strong, or the weights of {model.name_or_path!r} or its precision "
            f"({model.dtype}) are at fault. Try latent_do_sample=false, then dtype=float32."
        )

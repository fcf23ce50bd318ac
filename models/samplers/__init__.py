"""What makes thoughts random, each in one file, and their table."""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

from ...registry import Registry
from ..errors import ModelError
from .dropout import Dropout
from .noise import Noise
from .protocol import Reading, Sampler
from .randomness import Draw

__all__ = ["SAMPLERS", "Draw", "Dropout", "Noise", "Reading", "Sampler", "parameters"]


def _check(name: str, kind: Any) -> None:
    good = isinstance(kind, type) and issubclass(kind, Sampler) and is_dataclass(kind)
    if not good or kind.name != name:
        raise ModelError(
            f"The entry point {name!r} of latent_tts.samplers is {kind!r}; it must be a frozen "
            f"dataclass derived from latent_tts.models.Sampler whose name is {name!r}."
        )


SAMPLERS: Registry[type[Sampler]] = Registry(
    "latent_tts.samplers",
    what="sampler (latent_do_sample_by)",
    error=ModelError,
    things={"dropout": Dropout, "noise": Noise},
    check=_check,
)


def parameters(name: str | None = None) -> Iterator[str]:
    """Yield the parameters of one sampler, or of all."""
    for kind in [SAMPLERS[name]] if name is not None else SAMPLERS.values():
        yield from (field.name for field in fields(kind))

"""What makes thoughts random, each in one file, and their table."""

from collections.abc import Iterator
from dataclasses import fields

from ...registry import Registry, class_check
from ..errors import ModelError
from .dropout import Dropout
from .native import Native
from .noise import Noise
from .protocol import Reading, Sampler
from .randomness import Draw

__all__ = ["SAMPLERS", "Draw", "Dropout", "Native", "Noise", "Reading", "Sampler", "parameters"]

SAMPLERS: Registry[type[Sampler]] = Registry(
    "latent_tts.samplers",
    what="sampler (latent_do_sample_by)",
    error=ModelError,
    things={"dropout": Dropout, "noise": Noise, "native": Native},
    check=class_check(
        "latent_tts.samplers",
        Sampler,
        attribute="name",
        what="a frozen dataclass derived from latent_tts.models.Sampler whose name is",
        error=ModelError,
    ),
)


def parameters(name: str | None = None) -> Iterator[str]:
    """Yield the parameters of one sampler, or of all."""
    for kind in [SAMPLERS[name]] if name is not None else SAMPLERS.values():
        yield from (field.name for field in fields(kind))

"""Methods of latent reasoning, each in one file, and their table."""

from typing import Any

from ...registry import Registry
from ..errors import ModelError
from .coconut import Coconut
from .codi import Codi
from .colar import Colar
from .protocol import LatentBackbone

__all__ = ["BACKBONES", "Coconut", "Codi", "Colar", "LatentBackbone"]


def _check(name: str, kind: Any) -> None:
    good = isinstance(kind, type) and issubclass(kind, LatentBackbone)
    if not good or getattr(kind, "backbone", None) != name:
        raise ModelError(
            f"The entry point {name!r} of latent_tts.backbones is {kind!r}; it must be a class "
            f"derived from latent_tts.models.LatentBackbone whose `backbone` is {name!r}."
        )


BACKBONES: Registry[type[LatentBackbone]] = Registry(
    "latent_tts.backbones",
    what="backbone",
    error=ModelError,
    things={"coconut": Coconut, "codi": Codi, "colar": Colar},
    check=_check,
)

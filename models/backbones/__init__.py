"""Methods of latent reasoning, each in one file, and their table."""

from ...registry import Registry, class_check
from ..errors import ModelError
from .coconut import Coconut
from .codi import Codi
from .colar import Colar
from .explicit import Explicit
from .protocol import LatentBackbone

__all__ = ["BACKBONES", "Coconut", "Codi", "Colar", "Explicit", "LatentBackbone"]

BACKBONES: Registry[type[LatentBackbone]] = Registry(
    "latent_tts.backbones",
    what="backbone",
    error=ModelError,
    things={"coconut": Coconut, "codi": Codi, "colar": Colar, "explicit": Explicit},
    check=class_check(
        "latent_tts.backbones",
        LatentBackbone,
        attribute="backbone",
        what="a class derived from latent_tts.models.LatentBackbone whose `backbone` is",
        error=ModelError,
    ),
)

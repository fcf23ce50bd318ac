"""Methods of latent reasoning, each in one file, and their table."""

from ...registry import Registry, class_check
from ..errors import ModelError
from .coconut import Coconut
from .codi import Codi
from .colar import Colar
from .explicit import Explicit
from .latent_sft import LatentSFT
from .protocol import LatentBackbone
from .rot import RoT
from .soft_thinking import SoftThinking

__all__ = [
    "BACKBONES",
    "Coconut",
    "Codi",
    "Colar",
    "Explicit",
    "LatentBackbone",
    "LatentSFT",
    "RoT",
    "SoftThinking",
]

BACKBONES: Registry[type[LatentBackbone]] = Registry(
    "latent_tts.backbones",
    what="backbone",
    error=ModelError,
    things={
        "coconut": Coconut,
        "codi": Codi,
        "colar": Colar,
        "explicit": Explicit,
        "latent_sft": LatentSFT,
        "rot": RoT,
        "soft_thinking": SoftThinking,
    },
    check=class_check(
        "latent_tts.backbones",
        LatentBackbone,
        attribute="backbone",
        what="a class derived from latent_tts.models.LatentBackbone whose `backbone` is",
        error=ModelError,
    ),
)

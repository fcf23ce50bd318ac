"""What is learned, each in one file, and their table."""

from ....registry import Registry, class_check
from ...errors import ModelError
from .coconut import CoconutObjective
from .codi import CodiObjective
from .colar import ColarObjective
from .explicit import Explicit
from .latent_sft import LatentSFTObjective
from .latent_sft_labels import LatentSFTLabels
from .protocol import Objective

__all__ = ["OBJECTIVES", "Objective"]

OBJECTIVES: Registry[type[Objective]] = Registry(
    "latent_tts.objectives",
    what="objective",
    error=ModelError,
    things={
        "coconut": CoconutObjective,
        "codi": CodiObjective,
        "colar": ColarObjective,
        "explicit": Explicit,
        "latent_sft": LatentSFTObjective,
        "latent_sft_labels": LatentSFTLabels,
    },
    check=class_check(
        "latent_tts.objectives",
        Objective,
        attribute="name",
        what="a frozen dataclass derived from latent_tts.models.training.Objective whose name is",
        error=ModelError,
    ),
)

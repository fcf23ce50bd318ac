"""Backbones that think in latents, what makes their thoughts random, and the engine."""

from .auto import BACKBONES, AutoLatentModel, load_tokenizer
from .backbone import LatentBackbone
from .coconut import COCONUTGPT2
from .codi import CODIGPT2
from .colar import ColarLlama
from .config import LatentGenerationConfig, LatentSettings
from .errors import ModelError
from .options import EngineOptions
from .rows import LatentGenerateOutput
from .samplers import SAMPLERS, Sampler

__all__ = [
    "BACKBONES",
    "COCONUTGPT2",
    "CODIGPT2",
    "SAMPLERS",
    "AutoLatentModel",
    "ColarLlama",
    "EngineOptions",
    "LatentBackbone",
    "LatentGenerateOutput",
    "LatentGenerationConfig",
    "LatentSettings",
    "ModelError",
    "Sampler",
    "load_tokenizer",
]

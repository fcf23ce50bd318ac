"""Backbones that think in latents, what makes their thoughts random, and the engine."""

from .auto import (
    COCONUTGPT2,
    CODIGPT2,
    AutoLatentModel,
    ColarLlama,
    latent_class,
    load_tokenizer,
    tokenizer_of,
)
from .backbones import BACKBONES, LatentBackbone
from .engine.candidates import sample
from .errors import ModelError
from .fields import choice, flag, integer, real
from .generation import LatentGenerateOutput
from .names import resolve_checkpoint
from .options import EngineOptions
from .samplers import SAMPLERS, Draw, Reading, Sampler
from .settings import LatentGenerationConfig, LatentSettings
from .trajectory import Trajectory

__all__ = [
    "BACKBONES",
    "COCONUTGPT2",
    "CODIGPT2",
    "SAMPLERS",
    "AutoLatentModel",
    "ColarLlama",
    "Draw",
    "EngineOptions",
    "LatentBackbone",
    "LatentGenerateOutput",
    "LatentGenerationConfig",
    "LatentSettings",
    "ModelError",
    "Reading",
    "Sampler",
    "Trajectory",
    "choice",
    "flag",
    "integer",
    "latent_class",
    "load_tokenizer",
    "real",
    "resolve_checkpoint",
    "sample",
    "tokenizer_of",
]

"""Backbones that think in latents, what makes their thoughts random, and the engine."""

from .auto import AutoLatentModel
from .backbones import BACKBONES, LatentBackbone
from .backbones.mixture import Mixing, Mixture
from .engine.candidates import sample
from .errors import ModelError
from .fields import choice, flag, integer, real
from .generation_config import LatentGenerationConfig
from .joined import COCONUTGPT2, CODIGPT2, ColarLlama, latent_class
from .names import resolve_checkpoint
from .options import EngineOptions
from .output import LatentGenerateOutput
from .samplers import SAMPLERS, Draw, Reading, Sampler
from .settings import LatentSettings
from .side_files import load_tokenizer, tokenizer_of
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
    "Mixing",
    "Mixture",
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

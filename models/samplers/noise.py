"""Additive Gaussian noise (arXiv 2510.07745, section 3.2)."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

import torch

from ..backbones.protocol import LatentBackbone
from ..fields import real
from .protocol import Sampler
from .randomness import Draw


@dataclass(frozen=True, kw_only=True)
class Noise(Sampler):
    """h* = h + eps, eps ~ N(0, sigma^2 I), at every thought.

    Attributes:
        noise_std: sigma, in units of the thought.
    """

    name: ClassVar[str] = "noise"
    strength: ClassVar[str] = "noise_std"
    released: ClassVar[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
        {
            "coconut": {"noise_std": 0.6},
            "codi": {"noise_std": 1.4},
            "colar": {"noise_std": 0.01},
        }
    )

    noise_std: float = real(0.1)

    def varies(self, backbone: LatentBackbone, thoughts: int) -> bool:
        """Noise varies where sigma > 0 and there is a thought to add it to."""
        return self.noise_std > 0 and thoughts > 0

    def think(self, backbone: LatentBackbone, hidden: torch.Tensor, draw: Draw) -> torch.Tensor:
        """Add sigma times standard normal numbers to the thoughts f[R, D]."""
        thought = backbone.next_thought(hidden)
        return thought + self.noise_std * draw.normal(thought.shape[-1]).to(thought.dtype)

"""A sampler of another package: noise from a box instead of a bell."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from latent_tts.models import Draw, LatentBackbone, Sampler, real


@dataclass(frozen=True, kw_only=True)
class UniformNoise(Sampler):
    """Adds numbers between -a and a to every thought.

    Attributes:
        uniform_range: a, in units of the thought.
    """

    name: ClassVar[str] = "uniform"
    strength: ClassVar[str] = "uniform_range"
    released: ClassVar[Mapping[str, Mapping[str, Any]]] = {"coconut": {"uniform_range": 1.0}}

    uniform_range: float = real(0.2)

    def varies(self, backbone: LatentBackbone, thoughts: int) -> bool:
        """It varies where a > 0 and there is a thought to add it to."""
        return self.uniform_range > 0 and thoughts > 0

    def think(self, backbone: LatentBackbone, hidden: torch.Tensor, draw: Draw) -> torch.Tensor:
        """Return thoughts f[R, D] from last hidden states f[R, D]."""
        thought = backbone.next_thought(hidden)
        box = 2 * draw.uniform(thought.shape[-1]) - 1
        return thought + (self.uniform_range * box).to(thought.dtype)

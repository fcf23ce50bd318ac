"""A latent head's own distribution, as CoLaR's repository samples it (arXiv 2505.16552)."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from ..backbones.protocol import LatentBackbone
from ..errors import ModelError
from ..fields import real
from .protocol import Sampler
from .randomness import Draw


@dataclass(frozen=True, kw_only=True)
class Native(Sampler):
    """h* ~ N(mean, (temperature * std)^2), both from the model's latent head.

    Attributes:
        latent_temperature: factor of the standard deviation; 0 feeds the mean.
        stop_temperature: where thinking ends by a token, that token is drawn from
            softmax(logits / stop_temperature); at 0 it is the likeliest.
    """

    name: ClassVar[str] = "native"
    strength: ClassVar[str] = "latent_temperature"

    latent_temperature: float = real(1.0)
    stop_temperature: float = real(0.0)

    def check(self, backbone: LatentBackbone) -> None:
        """Raise ModelError for a backbone whose thoughts are no distribution."""
        if not backbone.has_thought_spread:
            raise ModelError(
                "latent_do_sample_by=native draws from a latent head that is a distribution, and "
                f"this {backbone.backbone} checkpoint has none. Use noise or dropout."
            )

    def varies(self, backbone: LatentBackbone, thoughts: int) -> bool:
        """Samples vary where a temperature is above 0 and there is a thought."""
        return (self.latent_temperature > 0 or self.stop_temperature > 0) and thoughts > 0

    @property
    def ending_temperature(self) -> float:
        """The token that may end thinking is drawn at `stop_temperature`."""
        return self.stop_temperature

    def think(self, backbone: LatentBackbone, hidden: torch.Tensor, draw: Draw) -> torch.Tensor:
        """Return numbers of the thoughts' distribution, f[R, D]."""
        thought = backbone.next_thought(hidden)
        noise = draw.normal(thought.shape[-1]).to(thought.dtype)
        return thought + self.latent_temperature * backbone.thought_spread(hidden) * noise

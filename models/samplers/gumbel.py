"""Gumbel noise on the log-probabilities of the tokens that a thought is mixed of."""

from dataclasses import dataclass
from typing import ClassVar

from ..backbones.mixture import Mixture, log_softmax
from ..backbones.protocol import LatentBackbone
from ..fields import flag, real
from .protocol import Sampler, check_mixes
from .randomness import Draw

# One-sided noise, as Latent-GRPO clamps and shifts it.
_LEAST, _MOST = -1.5, 3.0


@dataclass(frozen=True, kw_only=True)
class Gumbel(Sampler):
    """Weights are softmax((log p + gumbel_scale * g) / gumbel_temperature), g standard Gumbel.

    The tokens that are mixed stay the same (arXiv 2510.15522); their noise belongs to the token and
    not to its rank.

    Attributes:
        gumbel_temperature: of the softmax; at 0 the thought is one token's embedding.
        gumbel_scale: factor of the noise.
        one_sided: clamp g to -1.5 to 3 and add 1.5, so that noise never takes away (Latent-GRPO,
            arXiv 2604.27998).
    """

    name: ClassVar[str] = "gumbel"
    strength: ClassVar[str] = "gumbel_scale"

    gumbel_temperature: float = real(1.0)
    gumbel_scale: float = real(1.0)
    one_sided: bool = flag(False)

    def check(self, backbone: LatentBackbone) -> None:
        """Raise ModelError for a backbone whose thoughts are no mixtures."""
        check_mixes(self, backbone)

    def varies(self, backbone: LatentBackbone, thoughts: int) -> bool:
        """Samples vary where there is noise and a thought to mix."""
        return self.gumbel_scale > 0 and thoughts > 0

    def weigh(self, mixture: Mixture, draw: Draw) -> Mixture:
        """Return the mixtures with noisy weights."""
        noise = -(-draw.uniform_of(mixture.ids).log()).log()
        if self.one_sided:
            noise = noise.clamp(_LEAST, _MOST) - _LEAST
        scores = mixture.log_probs + self.gumbel_scale * noise.to(mixture.log_probs.dtype)
        return Mixture(mixture.ids, log_softmax(scores, self.gumbel_temperature))

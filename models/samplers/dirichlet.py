"""Weights of a mixture drawn from a Dirichlet distribution, as stochastic soft thinking draws them.

A Dirichlet sample is Gamma numbers over their sum. They are made from addressed numbers by the
method of Marsaglia and Tsang (2000), "A simple method for generating gamma variables": of a fixed
number of proposals the first that is accepted is taken.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch

from ..backbones.mixture import Mixture
from ..backbones.protocol import LatentBackbone
from ..fields import real
from .protocol import Sampler, check_mixes
from .randomness import Draw

# Each proposal is accepted with a probability of at least 0.95, so that all of them fail for one
# number in 10^15.
_PROPOSALS = 12


@dataclass(frozen=True, kw_only=True)
class Dirichlet(Sampler):
    """Weights ~ Dirichlet(dirichlet_alpha * p), p those of the tokens that may be mixed.

    Attributes:
        dirichlet_alpha: the concentration: of many it leaves p as it is, of few it makes thoughts
            of one token.
    """

    name: ClassVar[str] = "dirichlet"
    strength: ClassVar[str] = "dirichlet_alpha"
    before_cut: ClassVar[bool] = True

    dirichlet_alpha: float = real(1.0, least=1e-6)

    def check(self, backbone: LatentBackbone) -> None:
        """Raise ModelError for a backbone whose thoughts are no mixtures."""
        check_mixes(self, backbone)

    def varies(self, backbone: LatentBackbone, thoughts: int) -> bool:
        """Samples vary where there is a thought to mix."""
        return thoughts > 0

    def weigh(self, mixture: Mixture, draw: Draw) -> Mixture:
        """Return mixtures of the same tokens with drawn weights."""
        shapes = self.dirichlet_alpha * mixture.log_probs.double().exp()
        logs = log_gamma(shapes, mixture.ids, draw)
        drawn = logs.log_softmax(dim=-1).to(mixture.log_probs.dtype)
        return Mixture(mixture.ids, drawn)


def log_gamma(shapes: torch.Tensor, tokens: torch.Tensor, draw: Draw) -> torch.Tensor:
    """Return the logarithms f64[R, K] of Gamma numbers of unit scale; -inf where a shape is 0.

    Args:
        shapes: f64[R, K].
        tokens: i64[R, K], whose random numbers are taken.
        draw: random numbers at the rows' addresses.
    """
    d = shapes + 1 - 1 / 3  # of the shape plus one, which the last line takes back
    found = torch.log(d)  # the mean, if every proposal were refused
    taken = torch.zeros_like(shapes, dtype=torch.bool)
    for number in range(_PROPOSALS):
        first = 2 * number
        x = torch.erfinv(2 * draw.uniform_of(tokens, site=first) - 1) * 2**0.5
        v = (1 + x / (9 * d).sqrt()) ** 3
        log_v = v.clamp(min=1e-300).log()
        u = draw.uniform_of(tokens, site=first + 1).log()
        accepted = (v > 0) & (u < x * x / 2 + d - d * v + d * log_v)
        found = torch.where(accepted & ~taken, torch.log(d) + log_v, found)
        taken |= accepted
    lost = draw.uniform_of(tokens, site=2 * _PROPOSALS).log() / shapes
    return torch.where(shapes > 0, found + lost, -torch.inf)

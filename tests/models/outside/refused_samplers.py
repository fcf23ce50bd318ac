"""Samplers that are refused: parameters named as settings are, and a class that is no dataclass."""

from dataclasses import dataclass

from latent_tts.models import Sampler, integer, real


@dataclass(frozen=True, kw_only=True)
class Seeded(Sampler):
    name = "seeded"

    seed: int = integer(0)


@dataclass(frozen=True, kw_only=True)
class Noisy(Sampler):
    name = "noisy"

    noise_std: float = real(0.1)


class Plain(Sampler):
    name = "plain"

    plain_width: float = 0.5

"""What makes thoughts random, each in one file, and their table."""

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from transformers import GenerationConfig

from ...registry import Registry, class_check
from ..backbones.soft_thinking import SoftMixing
from ..errors import ModelError
from .dirichlet import Dirichlet
from .dropout import Dropout
from .gumbel import Gumbel
from .native import Native
from .noise import Noise
from .protocol import Reading, Sampler
from .randomness import Draw

__all__ = [
    "SAMPLERS",
    "Dirichlet",
    "Draw",
    "Dropout",
    "Gumbel",
    "Native",
    "Noise",
    "Reading",
    "Sampler",
    "parameters",
]

_SHIPPED: dict[str, type[Sampler]] = {
    "dropout": Dropout,
    "noise": Noise,
    "native": Native,
    "gumbel": Gumbel,
    "dirichlet": Dirichlet,
}
_WHAT = "a frozen dataclass derived from latent_tts.models.Sampler whose name is"
# What a parameter cannot be called, because it is a setting already: ours, and transformers' own.
RESERVED = frozenset(vars(GenerationConfig())) | {
    *("latent_length", "max_latent_length", "latent_do_sample", "latent_do_sample_by"),
    *("sampler", "sampler_strength", "num_beam_candidates", "seed"),
    *(field.name for kind in (*_SHIPPED.values(), SoftMixing) for field in fields(kind)),
}


def _check_sampler(name: str, thing: Any) -> None:
    class_check("latent_tts.samplers", Sampler, attribute="name", what=_WHAT, error=ModelError)(
        name, thing
    )
    made = vars(thing).get("__dataclass_params__")  # its own, not the base class's
    if made is None or not made.frozen:
        raise ModelError(
            f"The entry point {name!r} of latent_tts.samplers is {thing!r}; it must be {_WHAT} "
            f"{name!r}: write @dataclass(frozen=True, kw_only=True) above it."
        )
    if taken := sorted(RESERVED & {field.name for field in fields(thing)}):
        raise ModelError(
            f"The sampler {name!r} of {thing.__module__} has the parameter {taken[0]!r}, which is "
            f"a setting already. Call it otherwise, such as {name}_{taken[0]}."
        )


SAMPLERS: Registry[type[Sampler]] = Registry(
    "latent_tts.samplers",
    what="sampler (latent_do_sample_by)",
    error=ModelError,
    things=dict(_SHIPPED),
    check=_check_sampler,
)


def parameters(name: str | None = None) -> Iterator[str]:
    """Yield the parameters of one sampler, or of all that can be used."""
    for kind in [SAMPLERS[name]] if name is not None else SAMPLERS.usable().values():
        yield from (field.name for field in fields(kind))

"""What recorded sampling settings say: which sampler, how strong, and what else was chosen."""

from collections.abc import Mapping
from typing import Annotated, NamedTuple

import msgspec

_NO_SAMPLER_S = frozenset(
    {
        "latent_length",
        "max_latent_length",
        "latent_do_sample",
        "latent_do_sample_by",
        "seed",
        "num_return_sequences",
        "num_beams",
        "num_beam_candidates",
        "max_new_tokens",
        "do_sample",
        "temperature",
        "top_p",
        "top_k",
        "mixture_size",
        "mixture_temperature",
        "mixture_top_k",
        "mixture_top_p",
        "mixture_min_p",
        "cold_stop_entropy",
        "cold_stop_steps",
    }
)
"""Settings that belong to no sampler, by which a sampler's own are known in old records."""


class Known(msgspec.Struct):
    """The settings that records are made of; all others are for reading only."""

    latent_do_sample: bool | None = None
    latent_do_sample_by: str | None = None
    sampler_strength: str | None = None
    do_sample: bool | None = None
    temperature: float | None = None
    seed: int | None = None
    num_return_sequences: Annotated[int, msgspec.Meta(ge=1)] | None = None


class Sampler(NamedTuple):
    """What made a run's candidates differ, and its strength where it has one."""

    name: str
    strength: float | None


def sampler_of(settings: Mapping[str, object]) -> Sampler:
    """Return the sampler of recorded settings.

    Records name the parameter that is the sampler's strength. In older ones a sampler's parameters
    are those that begin with its name, and its strength is the first that is a number.

    Returns:
        The sampler; `none` where nothing was sampled, `temperature` where the text alone was,
        `unknown` where another program made the candidates.

    Raises:
        msgspec.ValidationError: a setting is of another type; the message names it.
    """
    known = msgspec.convert(settings, Known)
    if known.latent_do_sample is None:
        return Sampler("unknown", None)
    if known.latent_do_sample:
        return Sampler(str(known.latent_do_sample_by), _strength(settings, known))
    if known.do_sample:
        return Sampler("temperature", known.temperature)
    return Sampler("none", 0.0)


def chosen_settings(settings: Mapping[str, object]) -> dict[str, object]:
    """Return the settings by which runs are told apart: those that did something, but the seed.

    Old records hold the parameters of samplers that were not chosen, too. A setting that is None
    does nothing: a run of before there was such a setting has the same. Of other models
    all settings count.
    """
    if "latent_do_sample" not in settings:  # another model's: whatever it was told
        return {k: v for k, v in sorted(settings.items()) if v is not None and k != "seed"}
    sampler = settings.get("latent_do_sample_by") if settings.get("latent_do_sample") else None
    left_out = {"seed", "sampler_strength"} | (
        {"latent_do_sample_by"} if sampler is None else set()
    )
    old = "sampler_strength" not in settings
    return {
        name: value
        for name, value in sorted(settings.items())
        if value is not None
        and name not in left_out
        and (name in _NO_SAMPLER_S or _is_own(name, sampler, old=old))
    }


def new_since(new: Mapping[str, object], old: Mapping[str, object]) -> set[str]:
    """Return the sampler's parameters in a record that an old one, of the same sampler, lacks.

    They came later, so the old record cannot say how they were.
    """
    if "sampler_strength" in old or "sampler_strength" not in new:
        return set()
    return chosen_settings(new).keys() - chosen_settings(old).keys() - _NO_SAMPLER_S


def _is_own(name: str, sampler: object, *, old: bool) -> bool:
    return sampler is not None and (not old or name.startswith(f"{sampler}_"))


def _strength(settings: Mapping[str, object], known: Known) -> float | None:
    name = known.sampler_strength
    if name is None:
        own = (name for name in settings if _is_own(name, known.latent_do_sample_by, old=True))
        name = next((name for name in own if type(settings[name]) in (int, float)), None)
    if name is None:
        return None
    return msgspec.convert({name: settings.get(name)}, dict[str, float | None])[name]

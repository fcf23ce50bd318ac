"""From what users and checkpoints set to the settings that the engine reads."""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from typing import Any

from .backbones import LatentBackbone
from .backbones.mixture import Mixing
from .errors import ModelError
from .fields import integer_range
from .samplers import SAMPLERS, Sampler, parameters
from .settings import DETERMINISTIC, LatentSettings, check_names, mixing_names, setting_names

_LENGTHS = frozenset({"latent_length", "max_latent_length"})
_DEFAULT_SAMPLER = "dropout"


def resolve_settings(
    overrides: Mapping[str, Any], *sources: Any, backbone: LatentBackbone
) -> LatentSettings:
    """Take each field from the first of `overrides` and `sources` that sets it.

    Args:
        overrides: settings by name; an unknown name is an error.
        *sources: further settings, the more important first: objects with attributes, mappings or
            None. What they do not set, or set to None, is asked of the next. The first is the
            user's, the others are the checkpoint's.
        backbone: says whether it stops thinking by itself.

    Raises:
        ModelError: an unknown name or a value out of its range.
    """
    check_names(overrides)
    given = [_given(source) for source in (overrides, *sources)]
    if any("latent_do_sample_by" in source for source in given[:-1]):
        given[-1].pop("latent_do_sample", None)  # who names a sampler wants it
    user, own = given[:2], _first(given[2:])
    chosen = _first(given)
    asked = any("num_return_sequences" in source for source in user)
    if not asked:
        _count_beams(chosen)
    sampler, mixing = _sampler(chosen, backbone), _mixing(chosen, backbone)
    settings = LatentSettings(sampler=sampler, mixing=mixing, **chosen)
    if not settings.stochastic_by_choice and not asked and settings.beams is None:
        # A checkpoint's own N is meant for sampling; one deterministic answer is enough.
        settings = replace(settings, num_return_sequences=1)
    _check_backbone(settings, backbone)
    _warn_if_equal(settings, backbone)
    wanted = {name: value for name, value in _first(user).items() if value != own.get(name)}
    _warn_of_unread(settings, wanted)
    return settings


def _given(source: Any) -> dict[str, Any]:
    """Return what a source sets; of a `LatentSettings` what it records."""
    if source is None:
        return {}
    if isinstance(source, LatentSettings):
        source = source.record()
    values = source if isinstance(source, Mapping) else vars(source)
    return {name: values[name] for name in setting_names() if values.get(name) is not None}


def _first(sources: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return every setting as the first of some sources sets it."""
    chosen: dict[str, Any] = {}
    for given in sources:
        # A more important source's choice of one length settles both names.
        settled = _LENGTHS if chosen.keys() & _LENGTHS else frozenset()
        chosen = {name: v for name, v in given.items() if name not in settled} | chosen
    return chosen


def _count_beams(chosen: dict[str, Any]) -> None:
    """Let k beams of m candidates set N, where nobody chose one.

    A checkpoint's own N is no budget that somebody chose: k * m beside as many samples.
    """
    beams = {name: chosen.get(name) for name in ("num_beams", "num_beam_candidates")}
    if None not in beams.values():
        for name, value in beams.items():
            integer_range(least=1).check(name, value)
        chosen["num_return_sequences"] = math.prod(beams.values())


def _sampler(chosen: dict[str, Any], backbone: LatentBackbone) -> Sampler:
    """Take the sampler and its parameters out of the chosen settings, and check all parameters."""
    samples = chosen.pop("latent_do_sample", True)
    if not isinstance(samples, bool):
        raise ModelError(f"latent_do_sample={samples!r}; allowed are true and false.")
    kind = SAMPLERS[chosen.pop("latent_do_sample_by", _DEFAULT_SAMPLER)]
    given = {name: chosen.pop(name) for name in parameters() if name in chosen}
    made = {}
    for name, each in SAMPLERS.usable().items():
        own = {key: given[key] for key in parameters(name) if key in given}
        made[name] = each(**(dict(each.released.get(backbone.backbone, {})) | own))
    return made[kind.name] if samples else DETERMINISTIC


def _mixing(chosen: dict[str, Any], backbone: LatentBackbone) -> Mixing | None:
    """Take what says how thoughts are mixed out of the chosen settings.

    Raises:
        ModelError: the backbone mixes nothing, or not in this way.
    """
    given = {name: chosen.pop(name) for name in mixing_names() if name in chosen}
    own = () if backbone.mixing is None else fields(backbone.mixing)
    unread = given.keys() - {field.name for field in own}
    if unread:
        name, lacks = min(unread), "mixes none" if backbone.mixing is None else "mixes otherwise"
        raise ModelError(
            f"{name}={given[name]!r} says how tokens are mixed to a thought, and "
            f"{backbone.backbone} {lacks}. Leave it out."
        )
    return None if backbone.mixing is None else replace(backbone.mixing, **given)


def _check_backbone(settings: LatentSettings, backbone: LatentBackbone) -> None:
    settings.sampler.check(backbone)
    tokens = getattr(backbone, "latent_tokens", None)  # none before a checkpoint is loaded
    needed = settings.thought_limit + (1 if tokens is None else len(tokens.ending)) + 1
    if settings.max_new_tokens < needed:
        raise ModelError(
            f"max_new_tokens={settings.max_new_tokens} counts thoughts, the tokens of "
            f"{backbone.end_marker!r} and answer tokens; with up to {settings.thought_limit} "
            f"thoughts it must be at least {needed}."
        )
    if settings.mixing is not None:
        vocabulary = backbone.config.get_text_config().vocab_size
        settings.mixing.check(vocabulary, backbone.name_or_path)
    if settings.max_latent_length is not None and not backbone.chooses_length:
        raise ModelError(
            f"max_latent_length={settings.max_latent_length} for {backbone.backbone}, which thinks "
            "a fixed number of thoughts: use latent_length."
        )


def _warn_of_unread(settings: LatentSettings, asked: Mapping[str, Any]) -> None:
    """Warn of what a user asked for and nothing reads."""
    sampler = settings.sampler
    others = set(parameters()) - {field.name for field in fields(sampler)}
    unread = {name: value for name, value in asked.items() if name in others}
    if unread:
        chosen = "_by=" + sampler.name if settings.latent_do_sample else "=false"
        warnings.warn(
            f"{_listed(unread)} changes nothing under latent_do_sample{chosen}. Leave it out, or "
            "choose the sampler that it is for.",
            stacklevel=4,
        )
    neutral = {"temperature": (0, 1), "top_p": (1,), "top_k": (0,)}
    answers = {k: asked[k] for k, same in neutral.items() if asked.get(k, same[0]) not in same}
    if not settings.do_sample and answers:
        warnings.warn(
            f"{_listed(answers)} changes nothing while answers are greedy. Leave it out, or ask "
            "for do_sample=true.",
            stacklevel=4,
        )


def _warn_if_equal(settings: LatentSettings, backbone: LatentBackbone) -> None:
    sampler, count = settings.sampler, settings.num_return_sequences
    if count > 1 and settings.latent_do_sample and not settings.samples_vary(backbone):
        warnings.warn(
            f"All {count} samples of a question will be equal: latent_do_sample_by={sampler.name} "
            f"with {_listed(asdict(sampler))} and {settings.thought_limit} thoughts changes "
            "nothing. Raise the strength, or ask for latent_do_sample=false with "
            "num_return_sequences=1.",
            stacklevel=4,
        )


def _listed(given: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in given.items())

"""Generation settings: what users write, and what the engine reads.

`LatentGenerationConfig` is transformers' `GenerationConfig` with the latent fields; unset fields
are None, so that a checkpoint's own values show through. `LatentSettings` is the resolved,
validated result; nothing else reaches the engine.
"""

import json
import math
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from transformers import GenerationConfig

from ..registry import near
from .backbones import LatentBackbone
from .errors import ModelError
from .fields import check_fields, flag, integer, integer_range, real
from .samplers import SAMPLERS, Sampler, parameters

_LENGTHS = frozenset({"latent_length", "max_latent_length"})
_DEFAULT_SAMPLER = "dropout"
_DETERMINISTIC = Sampler()
# Of transformers' own fields, those that a checkpoint's generation_config.json may set. Not
# do_sample and temperature: a latent reasoner's file often is its base model's, made for chat, and
# answers are greedy unless asked.
_FROM_CHECKPOINT = ("num_return_sequences", "max_new_tokens")
_COUNT = "latent_num_return_sequences"  # num_return_sequences in files
_KNOWN = frozenset(vars(GenerationConfig()))


def latent_fields() -> tuple[str, ...]:
    """Return the names that latent sampling adds to transformers' generation settings."""
    return (
        "latent_length",
        "max_latent_length",
        "latent_do_sample",
        "latent_do_sample_by",
        *parameters(),
        "num_beam_candidates",
        "seed",
    )


def checkpoint_fields() -> tuple[str, ...]:
    """Return the names that a checkpoint's generation_config.json may set."""
    latent = (name for name in latent_fields() if name != "num_beam_candidates")
    return (*latent, *_FROM_CHECKPOINT)


class LatentGenerationConfig(GenerationConfig):
    """transformers' generation config with the fields of latent sampling; None means unset.

    Args:
        latent_length: number of thoughts T of a backbone that thinks a fixed number.
        max_latent_length: most thoughts of a backbone that stops by itself.
        latent_do_sample: whether thoughts are sampled; False is deterministic.
        latent_do_sample_by: a name in `SAMPLERS`; each sampler's class documents its parameters,
            which are fields here too.
        num_beam_candidates: next thoughts that each of `num_beams` beams proposes in beam search
            guided by a reward model (arXiv 2510.07745, section 4).
        seed: with question and sample index, the address of every random number.
        **kwargs: fields of transformers' `GenerationConfig`.
    """

    def __init__(self, **kwargs: Any) -> None:
        """Take the latent fields out of `kwargs` and leave the rest to transformers."""
        latent = {name: kwargs.pop(name, None) for name in latent_fields()}
        count = kwargs.pop(_COUNT, None)
        if count is not None:
            kwargs.setdefault("num_return_sequences", count)
        for name in kwargs:
            # transformers keeps names it does not know, so a typo would go unnoticed.
            if name not in _KNOWN and (meant := near(name, latent, cutoff=0.8)):
                raise ModelError(f"Unknown setting {name!r}.{meant}")
        super().__init__(**kwargs)
        for name, value in latent.items():
            setattr(self, name, value)

    def to_json_string(self, *args: Any, **kwargs: Any) -> str:
        """Write N under a name of its own, since transformers reads no N of greedy answers."""
        written = json.loads(super().to_json_string(*args, **kwargs))
        count = written.get("num_return_sequences")
        if count not in (None, 1) and not written.get("do_sample"):
            written[_COUNT] = written.pop("num_return_sequences")
        return json.dumps(written, indent=2, sort_keys=True) + "\n"

    def validate(self, strict: bool = False, user_set_attributes: set[str] | None = None) -> None:
        """Check as transformers does, but for N: greedy answers differ where thoughts do.

        Raises:
            ValueError: fields that transformers does not accept together.
        """
        count, self.num_return_sequences = self.num_return_sequences, None
        try:
            super().validate(strict=strict, user_set_attributes=user_set_attributes)
        finally:
            self.num_return_sequences = count


@dataclass(frozen=True, kw_only=True)
class LatentSettings:
    """Resolved settings; see `LatentGenerationConfig` for each field's meaning.

    `max_new_tokens` counts thoughts, the end marker and answer tokens, as the released code does.

    Raises:
        ModelError: a value out of its range; the message names it.
    """

    latent_length: int | None = integer(None, least=0, optional=True)
    max_latent_length: int | None = integer(None, least=0, optional=True)
    sampler: Sampler = _DETERMINISTIC
    seed: int = integer(0)
    num_return_sequences: int = integer(1, least=1)
    num_beams: int | None = integer(None, least=1, optional=True)
    num_beam_candidates: int | None = integer(None, least=1, optional=True)
    max_new_tokens: int = integer(128, least=1)
    do_sample: bool = flag(False)
    temperature: float = real(1.0)

    def __post_init__(self) -> None:
        """Check every field."""
        check_fields(self)
        if self.do_sample and self.temperature == 0:
            raise ModelError("temperature=0 with do_sample=true; use do_sample=false for greedy.")
        if (self.latent_length is None) == (self.max_latent_length is None):
            raise ModelError(
                f"latent_length={self.latent_length} and max_latent_length="
                f"{self.max_latent_length}; give exactly one of them: latent_length for a fixed "
                "number of thoughts, max_latent_length for a backbone that stops by itself."
            )
        if self.max_new_tokens < self.thought_limit + 2:
            raise ModelError(
                f"max_new_tokens={self.max_new_tokens} counts thoughts, the end marker and answer "
                f"tokens; with up to {self.thought_limit} thoughts it must be at least "
                f"{self.thought_limit + 2}."
            )
        self._check_beams()

    def _check_beams(self) -> None:
        if self.num_beam_candidates is not None and self.num_beams is None:
            raise ModelError(
                f"num_beam_candidates={self.num_beam_candidates} without num_beams; give both."
            )
        given = self.num_beam_candidates is not None
        if self.beams and not given and self.num_return_sequences % self.beams[0]:
            raise ModelError(
                f"num_beams={self.beams[0]} does not divide the N = {self.num_return_sequences} "
                "samples (num_return_sequences, the checkpoint's own unless given): each beam "
                "proposes as many next thoughts, so that beam search and best-of-N spend the same. "
                "Give num_beams that divides it, or num_beam_candidates too, which then sets N."
            )
        if self.beams and self.beams[0] * self.beams[1] != self.num_return_sequences:
            if self.num_beam_candidates is None:
                raise ModelError(
                    f"num_beams={self.num_beams} does not divide num_return_sequences="
                    f"{self.num_return_sequences}. Each beam proposes so many thoughts that beam "
                    "search and best-of-N spend the same, so choose a number of beams that does."
                )
            raise ModelError(
                f"num_beams={self.beams[0]} with num_beam_candidates={self.beams[1]} does not fit "
                f"num_return_sequences={self.num_return_sequences}: their product must be it, so "
                "that beam search and best-of-N spend the same. Change one of the three."
            )

    @property
    def beams(self) -> tuple[int, int] | None:
        """Beams k and candidates m of each; None where no beam search is asked for.

        m is N / k where it is not given. One beam alone means no beam search, as in transformers.
        """
        if self.num_beams is None or (self.num_beams == 1 and self.num_beam_candidates is None):
            return None
        return self.num_beams, self.num_beam_candidates or max(
            1, self.num_return_sequences // self.num_beams
        )

    def without_beams(self) -> "LatentSettings":
        """Return the settings of N independent samples."""
        return replace(self, num_beams=None, num_beam_candidates=None)

    @property
    def thought_limit(self) -> int:
        """Most thoughts of a row."""
        length = self.latent_length if self.latent_length is not None else self.max_latent_length
        return length if length is not None else 0

    @property
    def latent_do_sample(self) -> bool:
        """Whether thoughts are sampled."""
        return type(self.sampler) is not Sampler

    @property
    def stochastic_by_choice(self) -> bool:
        """Whether thoughts or answers are to be sampled, however weak the randomness."""
        return self.latent_do_sample or self.do_sample

    def samples_vary(self, backbone: LatentBackbone) -> bool:
        """Whether two samples of one question can differ."""
        return self.do_sample or self.sampler.varies(backbone, self.thought_limit)

    def record(self) -> dict[str, Any]:
        """Return the settings as users type them, the sampler's parameters among them.

        `sampler_strength` names the parameter that reports label the run by.
        """
        own = {name: value for name, value in vars(self).items() if name != "sampler"}
        own["latent_do_sample"] = self.latent_do_sample
        if self.latent_do_sample:
            own |= {"latent_do_sample_by": self.sampler.name, **self.sampler.record()}
            own["sampler_strength"] = self.sampler.strength
        return own

    @classmethod
    def resolve(
        cls, overrides: Mapping[str, Any], *sources: Any, backbone: LatentBackbone
    ) -> "LatentSettings":
        """Take each field from the first of `overrides` and `sources` that sets it.

        Args:
            overrides: settings by name; an unknown name is an error.
            *sources: further settings, the more important first: objects with attributes, mappings
                or None. What they do not set, or set to None, is asked of the next. The first is
                the user's, the others are the checkpoint's.
            backbone: says whether it stops thinking by itself.

        Raises:
            ModelError: an unknown name or a value out of its range.
        """
        check_names(overrides)
        chosen: dict[str, Any] = {}
        for source in (overrides, *sources):
            given = _given(source)
            if chosen.keys() & _LENGTHS:  # a more important source's choice settles both names
                given = {name: value for name, value in given.items() if name not in _LENGTHS}
            chosen = given | chosen
        user = [_given(source) for source in (overrides, *sources[:1])]
        asked = any("num_return_sequences" in given for given in user)
        beams = {name: chosen.get(name) for name in ("num_beams", "num_beam_candidates")}
        if not asked and None not in beams.values():
            # A checkpoint's own N is no budget that somebody chose: k * m beside as many samples.
            for name, value in beams.items():
                integer_range(least=1).check(name, value)
            chosen["num_return_sequences"] = math.prod(beams.values())
        settings = cls(sampler=_sampler(chosen, backbone), **chosen)
        if not settings.stochastic_by_choice and not asked and settings.beams is None:
            # A checkpoint's own N is meant for sampling; one deterministic answer is enough.
            settings = replace(settings, num_return_sequences=1)
        settings._check_backbone(backbone)
        settings._warn_if_equal(backbone)
        own: dict[str, Any] = {}
        for source in sources[1:]:
            own = _given(source) | own
        asked_for = {k: v for given in user[::-1] for k, v in given.items() if v != own.get(k)}
        settings._warn_of_unread(asked_for)
        return settings

    def _check_backbone(self, backbone: LatentBackbone) -> None:
        self.sampler.check(backbone)
        if self.max_latent_length is not None and not backbone.chooses_length:
            raise ModelError(
                f"max_latent_length={self.max_latent_length} for {backbone.backbone}, which thinks "
                "a fixed number of thoughts: use latent_length."
            )

    def _warn_of_unread(self, asked: Mapping[str, Any]) -> None:
        """Warn of what a user asked for and nothing reads."""
        others = set(parameters()) - {field.name for field in fields(self.sampler)}
        unread = {name: value for name, value in asked.items() if name in others}
        if unread:
            chosen = (
                f"latent_do_sample_by={self.sampler.name}"
                if self.latent_do_sample
                else "latent_do_sample=false"
            )
            warnings.warn(
                f"{_listed(unread)} changes nothing under {chosen}. Leave it out, or choose the "
                "sampler that it is for.",
                stacklevel=4,
            )
        if not self.do_sample and asked.get("temperature", 1.0) not in (0, 1):
            warnings.warn(
                f"temperature={self.temperature} changes nothing while answers are greedy. Leave "
                "it out, or ask for do_sample=true.",
                stacklevel=4,
            )

    def _warn_if_equal(self, backbone: LatentBackbone) -> None:
        if (
            self.num_return_sequences > 1
            and self.latent_do_sample
            and not self.samples_vary(backbone)
        ):
            warnings.warn(
                f"All {self.num_return_sequences} samples of a question will be equal: "
                f"latent_do_sample_by={self.sampler.name} with {_listed(asdict(self.sampler))} and "
                f"{self.thought_limit} thoughts changes nothing. Raise the strength, or ask for "
                "latent_do_sample=false with num_return_sequences=1.",
                stacklevel=3,
            )


def setting_names() -> tuple[str, ...]:
    """Return the names of all settings, samplers' parameters among them."""
    own = (field.name for field in fields(LatentSettings) if field.name != "sampler")
    return (*own, "latent_do_sample", "latent_do_sample_by", *parameters())


def check_names(given: Iterable[str], also: Iterable[str] = ()) -> None:
    """Raise ModelError for a name in `given` that is no setting and not in `also`."""
    allowed = [*setting_names(), *also]
    for name in given:
        if name not in allowed:
            raise ModelError(
                f"Unknown setting {name!r}.{near(name, allowed)} Allowed are: {', '.join(allowed)}."
            )


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
    return made[kind.name] if samples else _DETERMINISTIC


def _given(source: Any) -> dict[str, Any]:
    """Return what a source sets; of a `LatentSettings` what it records."""
    if source is None:
        return {}
    if isinstance(source, LatentSettings):
        source = source.record()
    values = source if isinstance(source, Mapping) else vars(source)
    return {name: values[name] for name in setting_names() if values.get(name) is not None}


def _listed(given: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in given.items())

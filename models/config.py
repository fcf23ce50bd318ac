"""Generation settings: what users write, and what the engine reads.

`LatentGenerationConfig` is transformers' `GenerationConfig` with the latent fields; unset fields
are None, so that a checkpoint's own values show through. `LatentSettings` is the resolved,
validated result; nothing else reaches the engine.
"""

import difflib
import math
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from transformers import GenerationConfig

from .errors import ModelError
from .samplers import SAMPLERS

LATENT_FIELDS = (
    "latent_length",
    "max_latent_length",
    "latent_do_sample",
    "latent_do_sample_by",
    "dropout_p",
    "dropout_site",
    "dropout_scope",
    "noise_std",
    "num_beam_candidates",
    "seed",
)
# What a checkpoint's generation_config.json may set. Not do_sample and temperature: a latent
# reasoner's file often is its base model's, made for chat, and answers are greedy unless asked.
CHECKPOINT_FIELDS = (
    *(name for name in LATENT_FIELDS if name != "num_beam_candidates"),
    "num_return_sequences",
    "max_new_tokens",
)
DROPOUT_SITES = ("feed_forward", "residual")
DROPOUT_SCOPES = ("prompt_and_thoughts", "thoughts")


_KNOWN = frozenset(vars(GenerationConfig()))


class LatentGenerationConfig(GenerationConfig):
    """transformers' generation config with the fields of latent sampling; None means unset.

    Args:
        latent_length: number of thoughts T of a backbone that thinks a fixed number.
        max_latent_length: most thoughts of a backbone that stops by itself.
        latent_do_sample: whether thoughts are sampled; False is deterministic.
        latent_do_sample_by: `dropout` or `noise`.
        dropout_p: probability that an element is dropped, in [0, 1).
        dropout_site: `feed_forward` (the paper's text, section 3.1) or `residual` (attention's and
            feed-forward's outputs, as in the released GPT-2 scripts).
        dropout_scope: `prompt_and_thoughts` (as released: every sample reads the prompt with masks
            of its own) or `thoughts` (one deterministic prompt serves all samples).
        noise_std: standard deviation sigma of the Gaussian noise, in units of the thought.
        num_beam_candidates: next thoughts that each of `num_beams` beams proposes in beam search
            guided by a reward model (arXiv 2510.07745, section 4).
        seed: with question and sample index, the address of every random number.
        **kwargs: fields of transformers' `GenerationConfig`.
    """

    def __init__(self, **kwargs: Any) -> None:
        """Take the latent fields out of `kwargs` and leave the rest to transformers."""
        latent = {name: kwargs.pop(name, None) for name in LATENT_FIELDS}
        for name in kwargs:
            # transformers keeps names it does not know, so a typo would go unnoticed.
            if name not in _KNOWN and (meant := near(name, LATENT_FIELDS, cutoff=0.8)):
                raise ModelError(f"Unknown setting {name!r}.{meant}")
        super().__init__(**kwargs)
        for name, value in latent.items():
            setattr(self, name, value)

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

    latent_length: int | None = None
    max_latent_length: int | None = None
    latent_do_sample: bool = True
    latent_do_sample_by: str = "dropout"
    dropout_p: float = 0.1
    dropout_site: str = "feed_forward"
    dropout_scope: str = "prompt_and_thoughts"
    noise_std: float = 0.1
    seed: int = 0
    num_return_sequences: int = 1
    num_beams: int | None = None
    num_beam_candidates: int | None = None
    max_new_tokens: int = 128
    do_sample: bool = False
    temperature: float = 1.0

    def __post_init__(self) -> None:
        """Check every field."""
        for name in ("num_return_sequences", "max_new_tokens"):
            _whole(name, getattr(self, name), least=1)
        _whole("seed", self.seed, least=None)
        for name in ("latent_do_sample", "do_sample"):
            if not isinstance(getattr(self, name), bool):
                raise ModelError(f"{name}={getattr(self, name)!r}; allowed are true and false.")
        _choice("latent_do_sample_by", self.latent_do_sample_by, SAMPLERS)
        _choice("dropout_site", self.dropout_site, DROPOUT_SITES)
        _choice("dropout_scope", self.dropout_scope, DROPOUT_SCOPES)
        _real("dropout_p", self.dropout_p, least=0.0, below=1.0)
        _real("noise_std", self.noise_std, least=0.0)
        _real("temperature", self.temperature, least=0.0)
        if self.do_sample and self.temperature == 0:
            raise ModelError("temperature=0 with do_sample=true; use do_sample=false for greedy.")
        if (self.latent_length is None) == (self.max_latent_length is None):
            raise ModelError(
                f"latent_length={self.latent_length} and max_latent_length="
                f"{self.max_latent_length}; give exactly one of them: latent_length for a fixed "
                "number of thoughts, max_latent_length for a backbone that stops by itself."
            )
        _whole(
            "latent_length" if self.latent_length is not None else "max_latent_length",
            self.thought_limit,
            least=0,
        )
        if self.max_new_tokens < self.thought_limit + 2:
            raise ModelError(
                f"max_new_tokens={self.max_new_tokens} counts thoughts, the end marker and answer "
                f"tokens; with up to {self.thought_limit} thoughts it must be at least "
                f"{self.thought_limit + 2}."
            )
        self._check_beams()

    def _check_beams(self) -> None:
        for name in ("num_beams", "num_beam_candidates"):
            if getattr(self, name) is not None:
                _whole(name, getattr(self, name), least=1)
        if self.num_beam_candidates is not None and self.num_beams is None:
            raise ModelError(
                f"num_beam_candidates={self.num_beam_candidates} without num_beams; give both."
            )
        if self.beams and self.beams[0] * self.beams[1] != self.num_return_sequences:
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
    def stochastic_by_choice(self) -> bool:
        """Whether thoughts or answers are to be sampled, however weak the randomness."""
        return self.latent_do_sample or self.do_sample

    def samples_vary(self, backbone: Any) -> bool:
        """Whether two samples of one question can differ."""
        return self.do_sample or (
            self.latent_do_sample and SAMPLERS[self.latent_do_sample_by].varies(self, backbone)
        )

    @classmethod
    def resolve(
        cls, overrides: Mapping[str, Any], *sources: Any, backbone: Any
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
        lengths = {"latent_length", "max_latent_length"}
        chosen: dict[str, Any] = {}
        for source in (overrides, *sources):
            given = _given(source)
            if chosen.keys() & lengths:  # a more important source's choice settles both names
                given = {name: value for name, value in given.items() if name not in lengths}
            chosen = given | chosen
        user = [_given(source) for source in (overrides, *sources[:1])]
        asked = any("num_return_sequences" in given for given in user)
        beams = {name: chosen.get(name) for name in ("num_beams", "num_beam_candidates")}
        if not asked and None not in beams.values():
            # A checkpoint's own N is no budget that somebody chose: k * m beside as many samples.
            _whole("num_beams", beams["num_beams"], least=1)
            _whole("num_beam_candidates", beams["num_beam_candidates"], least=1)
            chosen["num_return_sequences"] = math.prod(beams.values())
        settings = cls(**chosen)
        if not settings.stochastic_by_choice and not asked and settings.beams is None:
            # A checkpoint's own N is meant for sampling; one deterministic answer is enough.
            settings = replace(settings, num_return_sequences=1)
        settings._check_backbone(backbone)
        settings._warn_if_equal(backbone)
        return settings

    def _check_backbone(self, backbone: Any) -> None:
        if self.max_latent_length is not None and not backbone.chooses_length:
            raise ModelError(
                f"max_latent_length={self.max_latent_length} for {backbone.backbone}, which thinks "
                "a fixed number of thoughts: use latent_length."
            )

    def _warn_if_equal(self, backbone: Any) -> None:
        if (
            self.num_return_sequences > 1
            and self.latent_do_sample
            and not self.samples_vary(backbone)
        ):
            warnings.warn(
                f"All {self.num_return_sequences} samples of a question will be equal: "
                f"latent_do_sample_by={self.latent_do_sample_by} with dropout_p={self.dropout_p}, "
                f"dropout_scope={self.dropout_scope}, noise_std={self.noise_std} and "
                f"{self.thought_limit} thoughts changes nothing. Raise the strength, or ask for "
                "latent_do_sample=false with num_return_sequences=1.",
                stacklevel=3,
            )


def check_names(given: Iterable[str], also: Iterable[str] = ()) -> None:
    """Raise ModelError for a name in `given` that is no setting and not in `also`."""
    allowed = [field.name for field in fields(LatentSettings)] + list(also)
    for name in given:
        if name not in allowed:
            raise ModelError(
                f"Unknown setting {name!r}.{near(name, allowed)} Allowed are: {', '.join(allowed)}."
            )


def near(name: str, allowed: Iterable[str], *, cutoff: float = 0.5) -> str:
    """Return ' Did you mean …?' with the allowed names most like `name`, or ''."""
    matches = difflib.get_close_matches(str(name), list(allowed), n=3, cutoff=cutoff)
    return f" Did you mean {' or '.join(matches)}?" if matches else ""


def _given(source: Any) -> dict[str, Any]:
    if source is None:
        return {}
    values = source if isinstance(source, Mapping) else vars(source)
    names = [field.name for field in fields(LatentSettings)]
    return {name: values[name] for name in names if values.get(name) is not None}


def _whole(name: str, value: Any, *, least: int | None) -> None:
    if (
        isinstance(value, bool)
        or not isinstance(value, int)
        or (least is not None and value < least)
    ):
        bound = "" if least is None else f" of at least {least}"
        raise ModelError(f"{name}={value!r}; allowed is a whole number{bound}.")


def _real(name: str, value: Any, *, least: float, below: float = math.inf) -> None:
    good = isinstance(value, int | float) and not isinstance(value, bool)
    if not good or not least <= value < below:
        bound = f"at least {least:g} and " + (f"below {below:g}" if below < math.inf else "finite")
        raise ModelError(f"{name}={value!r}; allowed is a number {bound}.")


def _choice(name: str, value: Any, allowed: Iterable[str]) -> None:
    names = list(allowed)
    if value not in names:
        raise ModelError(f"{name}={value!r};{near(value, names)} Allowed are: {', '.join(names)}.")

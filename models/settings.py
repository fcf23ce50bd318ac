"""The settings that the engine reads: resolved, validated, frozen."""

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import Any

from ..registry import near
from .backbones import BACKBONES, LatentBackbone
from .backbones.mixture import Mixing
from .errors import ModelError
from .fields import check_fields, flag, integer, real, share
from .samplers import Sampler, parameters

DETERMINISTIC = Sampler()
# Of the settings, those that are recorded by what they hold.
_PARTS = frozenset({"sampler", "mixing"})
# Settings that earlier runs did not record, and what those runs had: at that value they are left
# out of records, so that old and new runs compare.
_SINCE = {"top_p": 1.0, "top_k": 0}


@dataclass(frozen=True, kw_only=True)
class LatentSettings:
    """Resolved settings; see `LatentGenerationConfig` for each field's meaning.

    `max_new_tokens` counts thoughts, the end marker and answer tokens, as the released code does.

    Raises:
        ModelError: a value out of its range; the message names it.
    """

    latent_length: int | None = integer(None, least=0, optional=True)
    max_latent_length: int | None = integer(None, least=0, optional=True)
    sampler: Sampler = DETERMINISTIC
    seed: int = integer(0)
    num_return_sequences: int = integer(1, least=1)
    num_beams: int | None = integer(None, least=1, optional=True)
    num_beam_candidates: int | None = integer(None, least=1, optional=True)
    max_new_tokens: int = integer(128, least=1)
    do_sample: bool = flag(False)
    temperature: float = real(1.0)
    top_p: float = share(1.0)
    top_k: int = integer(0, least=0)
    mixing: Mixing | None = None

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
    def answer_temperature(self) -> float:
        """Temperature of the answers' distribution; 1 where they are greedy."""
        return self.temperature if self.do_sample else 1.0

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
        own = {name: value for name, value in vars(self).items() if name not in _PARTS}
        own = {name: value for name, value in own.items() if value != _SINCE.get(name, "")}
        if self.mixing is not None:
            own |= vars(self.mixing)
        own["latent_do_sample"] = self.latent_do_sample
        if self.latent_do_sample:
            own |= {"latent_do_sample_by": self.sampler.name, **self.sampler.record()}
            own["sampler_strength"] = self.sampler.strength
        return own


def setting_names() -> tuple[str, ...]:
    """Return the names of all settings, samplers' parameters among them."""
    own = (field.name for field in fields(LatentSettings) if field.name not in _PARTS)
    return (*own, "latent_do_sample", "latent_do_sample_by", *parameters(), *mixing_names())


def mixing_names() -> tuple[str, ...]:
    """Return the settings of backbones whose thoughts are mixtures."""
    mixings = [kind.mixing for kind in BACKBONES.usable().values() if kind.mixing is not None]
    return tuple(dict.fromkeys(field.name for mixing in mixings for field in fields(mixing)))


def check_names(given: Iterable[str], also: Iterable[str] = ()) -> None:
    """Raise ModelError for a name in `given` that is no setting and not in `also`."""
    allowed = [*setting_names(), *also]
    for name in given:
        if name not in allowed:
            raise ModelError(
                f"Unknown setting {name!r}.{near(name, allowed)} Allowed are: {', '.join(allowed)}."
            )

"""What users write: transformers' generation config with the fields of latent sampling."""

import json
from typing import Any

from transformers import GenerationConfig

from ..registry import near
from .errors import ModelError
from .samplers import parameters
from .settings import mixing_names

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
        *mixing_names(),
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
            which are fields here too, as are those of a backbone's `mixing`.
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

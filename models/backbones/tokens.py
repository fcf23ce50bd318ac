"""The token ids that frame and stand for thoughts."""

from dataclasses import dataclass
from typing import Any

from ..errors import ModelError


@dataclass(frozen=True)
class LatentTokens:
    """Ids the engine needs.

    Attributes:
        end: the marker fed when thinking ends.
        placeholder: stands for a thought in `sequences`.
        eos: end the answer.
        pad: fills rows that ended early.
    """

    end: int
    placeholder: int
    eos: tuple[int, ...]
    pad: int

    @classmethod
    def find(cls, model: Any, tokenizer: Any = None) -> "LatentTokens":
        """Find the ids in the tokenizer or, without one, in the model's config.

        The tokenizer wins, since released configs hold placeholders such as -100.

        Raises:
            ModelError: the end marker is no single token of the tokenizer, or the config names
                none.
        """
        eos = model.generation_config.eos_token_id
        if eos is None:
            eos = model.config.eos_token_id
        if eos is None and tokenizer is not None:
            eos = tokenizer.eos_token_id
        if eos is None:
            raise ModelError(
                f"The checkpoint {model.name_or_path!r} names no end-of-sequence token, so no "
                "answer could end: set eos_token_id in its config.json."
            )
        eos = (eos,) if isinstance(eos, int) else tuple(eos)
        pad = model.config.pad_token_id
        pad = eos[0] if pad is None or pad < 0 else pad
        end = _id_of(model, tokenizer, marker=model.end_marker, key="latent_end_id")
        if end is None:
            raise ModelError(
                f"The checkpoint {model.name_or_path!r} has no latent tokens: {model.end_marker!r} "
                f"is no single token of its tokenizer and latent_end_id in config.json is no "
                f"token id. A {model.backbone} checkpoint needs it; add the token and train it, or "
                "name the right backbone with backbone=."
            )
        if model.start_marker != model.end_marker:
            start = _id_of(model, tokenizer, marker=model.start_marker, key="latent_start_id")
            if start is None:
                raise ModelError(
                    f"The checkpoint {model.name_or_path!r} has no latent tokens: "
                    f"{model.start_marker!r} is no single token of its tokenizer and "
                    "latent_start_id in config.json is no token id."
                )
        placeholder = _id_of(model, tokenizer, marker="<|latent|>", key="latent_id")
        return cls(end, pad if placeholder is None else placeholder, eos, pad)


def _id_of(model: Any, tokenizer: Any, *, marker: str, key: str) -> int | None:
    """Return the id of `marker`, or None where there is no such single token."""
    if tokenizer is not None:
        ids = tokenizer.encode(marker, add_special_tokens=False)
        found = ids[0] if len(ids) == 1 and ids[0] != tokenizer.unk_token_id else None
    else:
        configured = getattr(model.config, key, None)
        found = configured if isinstance(configured, int) and configured >= 0 else None
    size = model.config.get_text_config().vocab_size
    if found is not None and found >= size:
        raise ModelError(
            f"Token {marker!r} has id {found}, but the checkpoint {model.name_or_path!r} has only "
            f"{size} embeddings: its tokenizer belongs to another model."
        )
    return found

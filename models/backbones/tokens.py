"""The token ids that frame and stand for thoughts."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from ..errors import ModelError


@dataclass(frozen=True)
class LatentTokens:
    """Ids the engine needs.

    Attributes:
        end: the marker fed when thinking ends; the first of its tokens where it has several.
        placeholder: stands for a thought in `sequences`.
        eos: end the answer.
        pad: fills rows that ended early.
        forbidden: are never answered: those that the checkpoint's generation config suppresses,
            and embeddings behind the tokenizer's last token, which pad the vocabulary.
        after_end: the end marker's other tokens, which are fed after its first.
    """

    end: int
    placeholder: int
    eos: tuple[int, ...]
    pad: int
    forbidden: tuple[int, ...] = ()
    after_end: tuple[int, ...] = ()

    @property
    def ending(self) -> tuple[int, ...]:
        """The whole end marker."""
        return (self.end, *self.after_end)

    @classmethod
    def find(cls, model: Any, tokenizer: PreTrainedTokenizerBase | None = None) -> "LatentTokens":
        """Find the ids in the tokenizer or, without one, in the model's config.

        The tokenizer wins, since released configs hold placeholders such as -100.

        Raises:
            ModelError: a marker is no single token of the tokenizer; without a tokenizer, the
                config names none.
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
        if model.ends_by != "all":
            end, *after = _text_ids(model, tokenizer)[-1 if model.ends_by == "last" else 0 :]
            return cls(end, pad, eos, pad, _forbidden(model, tokenizer), tuple(after))
        end = _marker_id(model, tokenizer, marker=model.end_marker, key="latent_end_id")
        if model.start_marker != model.end_marker:
            _marker_id(model, tokenizer, marker=model.start_marker, key="latent_start_id")
        placeholder = _id_of(model, tokenizer, marker="<|latent|>", key="latent_id")
        placeholder = pad if placeholder is None else placeholder
        return cls(end, placeholder, eos, pad, _forbidden(model, tokenizer))


@lru_cache(maxsize=64)
def indices_within(
    ids: tuple[int, ...], first: int, count: int, device: torch.device
) -> torch.Tensor | None:
    """Return which of `count` ids from `first` on are among some, i64[F], less `first`.

    None where none is. The tensor is made once, since it is asked for at every step.
    """
    found = [index - first for index in ids if first <= index < first + count]
    return torch.tensor(found, device=device) if found else None


def _forbidden(model: Any, tokenizer: Any) -> tuple[int, ...]:
    """Return the ids that are never answered."""
    size = model.config.get_text_config().vocab_size
    suppressed = getattr(model.generation_config, "suppress_tokens", None) or ()
    padding = () if tokenizer is None else range(len(tokenizer), size)
    return tuple(sorted({*suppressed, *padding}))


def _text_ids(model: Any, tokenizer: PreTrainedTokenizerBase | None) -> list[int]:
    """Return the ids of an end marker that is ordinary text, one or several.

    Raises:
        ModelError: there is no tokenizer, or one that cannot write it.
    """
    marker, ids = model.end_marker, []
    if tokenizer is not None:
        ids = tokenizer.encode(marker, add_special_tokens=False)
    size = model.config.get_text_config().vocab_size
    if tokenizer is None or not ids or str(tokenizer.decode(ids)).strip() != marker:
        lacks = "it has no tokenizer" if tokenizer is None else f"its tokenizer has no {marker!r}"
        raise ModelError(
            f"The checkpoint {model.name_or_path!r} cannot end its thinking: {lacks}, with which a "
            f"{model.backbone} model does so. Give its own tokenizer, or name the right backbone "
            "with backbone=."
        )
    if max(ids) >= size:
        raise ModelError(
            f"{marker!r} has the ids {ids}, but the checkpoint {model.name_or_path!r} has only "
            f"{size} embeddings: its tokenizer belongs to another model."
        )
    return ids


def _marker_id(
    model: Any, tokenizer: PreTrainedTokenizerBase | None, *, marker: str, key: str
) -> int:
    """Return the id of a marker that the backbone cannot do without."""
    found = _id_of(model, tokenizer, marker=marker, key=key)
    if found is None:
        where = (
            f"{marker!r} is no single token of its tokenizer"
            if tokenizer is not None
            else f"it has no tokenizer, and {key} in its config.json is no token id"
        )
        raise ModelError(
            f"The checkpoint {model.name_or_path!r} has no latent tokens: {where}. A "
            f"{model.backbone} checkpoint needs {marker!r}; add the token and train it, or name "
            "the right backbone with backbone=."
        )
    return found


def _id_of(
    model: Any, tokenizer: PreTrainedTokenizerBase | None, *, marker: str, key: str
) -> int | None:
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

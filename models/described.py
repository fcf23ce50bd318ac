"""What a loaded model is, in words, for cards and messages."""

from collections.abc import Iterator
from typing import Any

from .origin import Origin


def described(model: Any) -> tuple[str, ...]:
    """Return what a model is and where it comes from, one fact each."""
    return tuple(_facts(model))


def _facts(model: Any) -> Iterator[str]:
    config, origin = model.config.get_text_config(), model.origin
    yield f"found: {origin.layout}{_digest(origin, 'weights')}"
    yield f"method: {model.backbone}"
    yield (
        f"trunk: {config.model_type}, {config.num_hidden_layers} layers of width "
        f"{config.hidden_size}, {config.vocab_size} embeddings, head "
        f"{'tied' if config.tie_word_embeddings else 'untied'}"
    )
    for part, name in origin.names.items():
        yield f"{part}: {name}{_digest(origin, part)}"
    yield from origin.found
    yield f"thoughts: {_thoughts(model)}"
    markers = dict.fromkeys((model.start_marker, model.end_marker))
    yield "markers: " + ", ".join(f"`{text}` (id {_id(model, text)})" for text in markers)
    for what in origin.left_out or ("nothing",):
        yield f"left out: {what}"


def _digest(origin: Origin, part: str) -> str:
    found = origin.digest(part)  # a base's weights need not lie here
    return "" if found is None else f", {part}_sha256 {found}"


def _thoughts(model: Any) -> str:
    settings = model.settings(latent_do_sample=False)
    if settings.latent_length is not None:
        return str(settings.latent_length)
    speed = getattr(model.config, "thinking_speed", None)
    paced = "" if speed is None else f", at thinking speed {speed}"
    return f"at least {model.least_thoughts}, at most {settings.max_latent_length}{paced}"


def _id(model: Any, marker: str) -> int | None:
    tokenizer = model.tokenizer
    if tokenizer is None:
        return None
    ids = tokenizer.encode(marker, add_special_tokens=False)
    return ids[0] if len(ids) == 1 else None

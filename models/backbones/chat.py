"""Prompts in the format of a checkpoint's own chat template."""

from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from ..errors import ModelError
from .protocol import LatentBackbone


def has_token(model: LatentBackbone, token: str) -> bool:
    """Return whether a text is one token of the checkpoint's vocabulary."""
    return token in tokenizer_with_chat(model).get_vocab()


def apply_template(
    model: LatentBackbone,
    turns: str | Sequence[Mapping[str, str]],
    *,
    generation_prompt: bool = True,
    **more: Any,
) -> str:
    """Return turns as the checkpoint's chat template writes them.

    Args:
        model: a loaded backbone.
        turns: the user's one turn, or several of `role` and `content`.
        generation_prompt: whether the beginning of the answer is written too.
        **more: what the template knows beyond, such as `enable_thinking`.

    Raises:
        ModelError: the checkpoint has no template, or one that refuses these turns.
    """
    tokenizer = tokenizer_with_chat(model)
    if isinstance(turns, str):
        turns = [{"role": "user", "content": turns}]
    if not tokenizer.chat_template:
        raise ModelError(
            f"The checkpoint {model.name_or_path!r} has no chat template, and a {model.backbone} "
            "model reads questions in one. Put chat_template.jinja beside its tokenizer.json, or "
            "name the right backbone with backbone=."
        )
    try:
        written: Any = tokenizer.apply_chat_template(
            [dict(turn) for turn in turns],
            tokenize=False,
            add_generation_prompt=generation_prompt,
            **more,
        )
    except TemplateError as error:
        raise ModelError(
            f"The chat template of {model.name_or_path!r} refuses the prompt: {error}"
        ) from error
    return str(written)


def tokenizer_with_chat(model: LatentBackbone) -> PreTrainedTokenizerBase:
    """Return the tokenizer that a model was loaded with; ModelError where it has none."""
    if model.tokenizer is None:
        raise ModelError(
            f"The checkpoint {model.name_or_path!r} has no tokenizer, which a {model.backbone} "
            "model's prompt needs. Put its tokenizer.json beside its config.json."
        )
    return model.tokenizer

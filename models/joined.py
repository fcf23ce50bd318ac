"""Classes of methods joined to language models, and which one a checkpoint is of."""

import re
from functools import cache
from typing import Any

import torch
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    GPT2LMHeadModel,
    LlamaForCausalLM,
    PreTrainedConfig,
    PreTrainedTokenizerBase,
)

from .backbones import BACKBONES, Coconut, Codi, Colar, LatentBackbone
from .backbones.tokens import LatentTokens
from .errors import ModelError
from .generation import GeneratesLatents


@cache
def latent_class(method: type[LatentBackbone], model: type) -> type:
    """Join a method of latent reasoning and a causal language model of transformers.

    The class's name is the method's prefix and the model's name without its ending, as released
    checkpoints have it under `architectures`: `COCONUTGPT2`, `CODIGPT2`, `ColarLlama`,
    `COCONUTQwen2`.

    Args:
        method: such as `Coconut`.
        model: such as `GPT2LMHeadModel`.

    Returns:
        A `PreTrainedModel` that is a `LatentBackbone` and has `generate` and `settings`.
    """
    name = _class_name(method, model)
    words = f"{method.__name__} on {model.__name__}."
    return type(name, (GeneratesLatents, method, model), {"__module__": __name__, "__doc__": words})


def _class_name(method: type[LatentBackbone], model: type) -> str:
    trunk = re.sub("(LMHeadModel|ForCausalLM)$", "", model.__name__)
    return f"{method.class_prefix or method.__name__}{trunk}"


def read_by(method: type[LatentBackbone], model: Any, tokenizer: PreTrainedTokenizerBase) -> Any:
    """Return a causal language model as a method reads it: its very weights, under another class.

    Args:
        method: one without modules of its own, such as `Explicit`.
        model: of transformers, with or without adapters in its layers.
        tokenizer: the model's.

    Raises:
        ModelError: the tokenizer lacks a marker of the method.
    """
    kind: Any = type(model)
    with torch.device("meta"):  # its weights are the model's, so that none are made
        joined = latent_class(method, kind)(model.config)
    for name, part in model.named_children():
        setattr(joined, name, part)
    joined.generation_config, joined.tokenizer = model.generation_config, tokenizer
    joined.latent_tokens = LatentTokens.find(joined, tokenizer)
    return joined.eval()


COCONUTGPT2: Any = latent_class(Coconut, GPT2LMHeadModel)
CODIGPT2: Any = latent_class(Codi, GPT2LMHeadModel)
ColarLlama: Any = latent_class(Colar, LlamaForCausalLM)


def backbone_class(name: str, config: PreTrainedConfig, backbone: str | None) -> type:
    """Return the class of a checkpoint: named by its config, or by the user over its model."""
    architectures = config.architectures or []
    if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        raise ModelError(
            f"The checkpoint {name!r} is a {config.model_type} model, which transformers knows as "
            "no causal language model. Give one of those."
        )
    model: Any = MODEL_FOR_CAUSAL_LM_MAPPING[type(config)]
    methods = BACKBONES.usable()
    named = named_backbone(config)
    if backbone is not None:
        method = BACKBONES[backbone]
        if named not in (None, backbone):
            raise ModelError(
                f"backbone={backbone!r}, but the checkpoint {name!r} says that it is "
                f"{named}: its architectures are {architectures}. Leave backbone= out."
            )
        return latent_class(method, model)
    if named is not None:
        return latent_class(BACKBONES[named], model)
    known = ", ".join(f"{_class_name(method, model)} ({key})" for key, method in methods.items())
    raise ModelError(
        f"The checkpoint {name!r} has architectures {architectures}, none of them a latent "
        f"reasoner known here: {known}. If it is one of these under another name, say so with "
        "backbone=."
    )


def named_backbone(config: PreTrainedConfig) -> str | None:
    """Return the name of the method that a config's `architectures` name, None for no method."""
    if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        return None
    model: Any = MODEL_FOR_CAUSAL_LM_MAPPING[type(config)]
    named = config.architectures or []
    found = (
        key for key, method in BACKBONES.usable().items() if _class_name(method, model) in named
    )
    return next(found, None)

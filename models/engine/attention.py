"""Prefill and decode: attention over a shared prompt and a row's own positions.

The function is registered with transformers' attention interface and chosen only while rows are
read, so decoders that use the interface share prompts without their code being changed (`trial.py`
holds each against its own forward).
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers import AttentionInterface, DynamicCache

from ..backbones.protocol import Readable
from ..errors import ModelError
from . import kernels
from .cache import RowCache
from .prompts import Prompts

_NAME = "latent_tts_shared_prompt"
PASS = threading.RLock()  # a pass changes its model for a while, which other threads must not see
# What to give where a model cannot be read.
SUITABLE = (
    "Give a backbone on a decoder that attends by transformers' attention interface, as GPT-2, "
    "Llama, Qwen2, OPT and GPT-NeoX do."
)
_TOKENS = 2048  # of prompts read at once: more gain no speed, and their activations fill memory
# Arguments by which models ask for another attention than softmax over all earlier positions.
_UNSUPPORTED = ("sliding_window", "softcap", "s_aux", "position_bias")


def prefill(
    model: Readable,
    input_ids: torch.Tensor,
    attention_mask: torch.Tensor,
    before: Callable[[slice, torch.Tensor], None] | None = None,
) -> tuple[torch.Tensor, Prompts]:
    """Read prompts as the model always does, some at a time: the beginning of every sampling.

    Args:
        model: has a `base_model`, the trunk.
        input_ids: i64[B, P], left-padded.
        attention_mask: i64[B, P].
        before: called with the prompts' indices and positions i64[B', P] before each forward pass.

    Returns:
        f[B, D], the last hidden state of each prompt, and the prompts.

    Raises:
        ModelError: a model whose samples cannot share a prompt.
    """
    if not getattr(model.base_model, "_supports_attention_backend", False):
        raise ModelError(
            f"{type(model.base_model).__name__} does not attend by transformers' attention "
            f"interface, so its samples cannot share a prompt. {SUITABLE}"
        )
    positions = (attention_mask.cumsum(dim=1) - 1).clamp(min=0)
    count = max(1, _TOKENS // input_ids.shape[1])
    kernels.drop_stale(model)
    hidden, caches = [], []
    for start in range(0, len(input_ids), count):
        part = slice(start, start + count)
        if before is not None:
            before(part, positions[part])
        cache = DynamicCache(config=model.config)
        with PASS, kernels.fast(model):
            output = model.base_model(
                input_ids=input_ids[part],
                attention_mask=attention_mask[part],
                position_ids=positions[part],
                past_key_values=cache,
                use_cache=True,
            )
        # Copied, so that the other positions' states are not kept.
        hidden.append(output.last_hidden_state[:, -1].clone())
        caches.append(cache)
    return torch.cat(hidden), Prompts.of(caches, attention_mask)


def decode(
    model: Readable, cache: RowCache, inputs: torch.Tensor, positions: torch.Tensor
) -> torch.Tensor:
    """Let rows read their next inputs f[R, n, D] at `positions` i64[R, n].

    Returns:
        f[R, n, D], the last hidden states after each; the cache grows by n.

    Raises:
        ModelError: activation checkpointing in training.
    """
    if model.training and getattr(model.base_model, "gradient_checkpointing", False):
        raise ModelError(
            "Activation (gradient) checkpointing drops keys and values that rows share. Turn it "
            "off (model.activation_checkpointing_disable()) and take smaller batches instead."
        )
    with PASS, _chosen(model.base_model), kernels.fast(model):
        output = model.base_model(
            inputs_embeds=inputs.to(model.dtype),
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            row_cache=cache,
        )
    return output.last_hidden_state


@contextmanager
def _chosen(trunk: torch.nn.Module) -> Iterator[None]:
    """Let the trunk attend by `shared_attention` within the context."""
    config: Any = trunk.config
    before = config._attn_implementation
    config._attn_implementation = _NAME
    try:
        yield
    finally:
        config._attn_implementation = before


def shared_attention(
    module: Any,  # the layers of transformers' models share no class
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    row_cache: RowCache,
    scaling: float | None = None,
    dropout: float = 0.0,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Attend, each row to its prompt and its own positions; see `cache.Group.attend`.

    Args:
        module: the attention layer, which knows its number.
        query: f[R, H, n, d], of the last n own positions.
        key: f[R, K, n, d], which the cache holds already.
        value: f[R, K, n, d].
        attention_mask: not needed: the cache knows what is padded.
        row_cache: the prompts, and which row reads which.
        scaling: of the products of queries and keys; 1 / sqrt(d) if None.
        dropout: share of the weights that is dropped, in training.
        **kwargs: what the model asks for beyond.

    Returns:
        f[R, n, H, d], and None for the weights, as the interface wants it.

    Raises:
        ModelError: a model that asks for another attention.
    """
    asked = [name for name in _UNSUPPORTED if kwargs.get(name) is not None]
    if asked:
        raise ModelError(
            f"The model's attention asks for {', '.join(asked)}; samples can share a prompt only "
            "by plain softmax attention over all positions. Give another backbone."
        )
    rows, heads, count, size = query.shape
    # Query heads of one key-value head stand side by side: f[R, K, H / K * n, d].
    query = (query * (size**-0.5 if scaling is None else scaling)).reshape(
        rows, key.shape[1], -1, size
    )
    groups = row_cache.groups
    parts = zip(groups, query.split([len(group) for group in groups]), strict=True)
    found = [group.attend(module.layer_idx, part, count, dropout) for group, part in parts]
    joined = found[0] if len(found) == 1 else torch.cat(found)
    return joined.reshape(rows, heads, count, size).transpose(1, 2).contiguous(), None


AttentionInterface.register(_NAME, shared_attention)

"""The language model inside Qwen3-VL, which transformers has as a trunk alone.

transformers' own classes know it with its eye before it. Importing this file tells the Auto classes
of a head on its text part, so that it loads, trains and is joined like any causal language model.
"""

from typing import Any

import torch
from torch import nn
from transformers import AutoModelForCausalLM, GenerationMixin
from transformers.modeling_outputs import CausalLMOutputWithPast
from transformers.models.qwen3_vl.configuration_qwen3_vl import Qwen3VLTextConfig
from transformers.models.qwen3_vl.modeling_qwen3_vl import (
    Qwen3VLPreTrainedModel,
    Qwen3VLTextModel,
)


class Qwen3VLTextForCausalLM(Qwen3VLPreTrainedModel, GenerationMixin):
    """Qwen3-VL's text model and a language-model head."""

    config: Qwen3VLTextConfig  # type: ignore[assignment]
    config_class = Qwen3VLTextConfig
    _tied_weights_keys = {"lm_head.weight": "model.embed_tokens.weight"}  # noqa: RUF012

    def __init__(self, config: Qwen3VLTextConfig) -> None:
        """Build it with random weights."""
        super().__init__(config)
        self.model = Qwen3VLTextModel(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    def forward(
        self, input_ids: torch.Tensor | None = None, logits_to_keep: int = 0, **kwargs: Any
    ) -> CausalLMOutputWithPast:
        """Return the logits of tokens i64[B, S] or of inputs_embeds f[B, S, D].

        Args:
            input_ids: tokens.
            logits_to_keep: of so many last positions; 0 for all.
            **kwargs: of the text model.
        """
        read = self.model(input_ids=input_ids, **kwargs)
        return CausalLMOutputWithPast(
            logits=self.lm_head(read.last_hidden_state[:, -logits_to_keep:]),
            past_key_values=read.past_key_values,
        )


AutoModelForCausalLM.register(Qwen3VLTextConfig, Qwen3VLTextForCausalLM, exist_ok=True)

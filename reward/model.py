"""LatentRM: a scalar for every thought, from a copy of a backbone's trunk.

arXiv 2510.07745, section 4: r_t = g(x, h_1:t); a trajectory's score is the sum of its r_t.
"""

from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import (
    AutoConfig,
    DynamicCache,
    GPT2Model,
    GPT2PreTrainedModel,
    LlamaModel,
    LlamaPreTrainedModel,
)

from ..models.auto import resolve_checkpoint
from .errors import RewardError


class LatentRewardHead:
    """Mixin: a linear head on the trunk's last hidden states, and how thoughts are scored."""

    def score(
        self,
        input_ids: torch.Tensor,
        latent_thoughts: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        lengths: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Score every thought of N trajectories of each question.

        The prompt is read once a question. Positions count attended tokens, so a score depends
        neither on padding nor on what else is in the batch.

        Args:
            input_ids: i64[B, P], prompts that end in the start marker, padded on the left.
            latent_thoughts: f[B, N, T, D], as `generate` returns them, rows grouped by question.
            attention_mask: i64[B, P]; all ones if None.
            lengths: i64[B, N], thoughts of each trajectory; all T if None.

        Returns:
            f32[B, N, T]: r_t, zero beyond a trajectory's length, so that the sum over T is the
            trajectory's score.

        Raises:
            RewardError: thoughts of another hidden size or number of questions.
        """
        model: Any = self
        _check_shapes(model, input_ids, latent_thoughts)
        count, depth = latent_thoughts.shape[1:3]
        if attention_mask is None:
            attention_mask = torch.ones_like(input_ids)
        cache = DynamicCache(config=model.config)
        positions = (attention_mask.cumsum(dim=1) - 1).clamp(min=0)
        model.base_model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
        )
        cache.batch_repeat_interleave(count)
        mask = attention_mask.repeat_interleave(count, dim=0)
        thoughts = latent_thoughts.flatten(0, 1).to(model.dtype)
        steps = torch.arange(depth, device=mask.device)
        hidden = model.base_model(
            inputs_embeds=thoughts,
            attention_mask=torch.cat((mask, mask.new_ones(len(mask), depth)), dim=1),
            position_ids=mask.sum(dim=1, keepdim=True) + steps,
            past_key_values=cache,
            use_cache=True,
        ).last_hidden_state
        rewards = model.classifier(hidden).squeeze(-1).float().unflatten(0, (-1, count))
        if lengths is not None:
            rewards = rewards * (steps < lengths.unsqueeze(-1))
        return rewards


class COCONUTGPT2ForTokenClassification(LatentRewardHead, GPT2PreTrainedModel):
    """LatentRM on GPT-2; the class bears the name that released checkpoints have."""

    def __init__(self, config: Any) -> None:
        """Build the trunk and a head from the hidden size to 1."""
        super().__init__(config)
        self.transformer = GPT2Model(config)
        self.classifier = nn.Linear(config.n_embd, 1)
        self.post_init()


class ColarLlamaForTokenClassification(LatentRewardHead, LlamaPreTrainedModel):
    """LatentRM on Llama."""

    def __init__(self, config: Any) -> None:
        """Build the trunk and a head from the hidden size to 1."""
        super().__init__(config)
        self.model = LlamaModel(config)
        self.classifier = nn.Linear(config.hidden_size, 1)
        self.post_init()


REWARD_MODELS: dict[str, Any] = {
    "gpt2": COCONUTGPT2ForTokenClassification,
    "llama": ColarLlamaForTokenClassification,
}


class LatentRewardModel:
    """Loads or begins a reward model; not to be instantiated."""

    def __init__(self) -> None:
        """Refuse, as transformers' Auto classes do."""
        raise TypeError("Use LatentRewardModel.from_pretrained(path_or_id).")

    @staticmethod
    def from_pretrained(path_or_id: str | Path, **kwargs: Any) -> Any:
        """Load a LatentRM in the released format (`transformer.*`, `classifier.*`).

        Args:
            path_or_id: a folder, a hub id, or the name of one that ships.
            **kwargs: for transformers' `from_pretrained`; dtype is float32 unless given.

        Returns:
            A `PreTrainedModel` with `score`, in evaluation mode.

        Raises:
            RewardError: an architecture without a reward model here, or no head in the weights.
        """
        name = resolve_checkpoint(str(path_or_id))
        config = AutoConfig.from_pretrained(name)
        kind = _kind(name, config.model_type)
        kwargs.setdefault("dtype", torch.float32)
        model, loaded = kind.from_pretrained(
            name, config=config, output_loading_info=True, **kwargs
        )
        if loaded["missing_keys"]:
            raise RewardError(
                f"The weights of {name!r} lack {', '.join(sorted(loaded['missing_keys']))}: it is "
                "no reward model. Give one trained by `latent-tts train-rm` or a released LatentRM."
            )
        return model.eval()

    @staticmethod
    def from_backbone(backbone: Any) -> Any:
        """Begin a reward model from a copy of a backbone's trunk and a random head.

        Args:
            backbone: a `LatentBackbone`.

        Raises:
            RewardError: a trunk that is neither GPT-2 nor Llama.
        """
        kind = _kind(backbone.name_or_path, backbone.config.model_type)
        model = kind(backbone.config)
        model.base_model.load_state_dict(backbone.base_model.state_dict())
        return model.to(backbone.device, backbone.dtype).eval()


def _kind(name: str, model_type: str) -> Any:
    if model_type not in REWARD_MODELS:
        raise RewardError(
            f"{name!r} is a {model_type} model; reward models exist on "
            f"{' and '.join(REWARD_MODELS)}."
        )
    return REWARD_MODELS[model_type]


def _check_shapes(model: Any, input_ids: torch.Tensor, thoughts: torch.Tensor) -> None:
    width = model.config.hidden_size
    if thoughts.dim() != 4 or len(thoughts) != len(input_ids) or thoughts.shape[-1] != width:
        raise RewardError(
            f"latent_thoughts of shape {tuple(thoughts.shape)} for {len(input_ids)} prompts; "
            f"needed is [{len(input_ids)}, N, T, {width}]: the thoughts of this reward model's own "
            "backbone, grouped by question."
        )

"""LatentRM: a scalar for every thought, from a copy of a backbone's trunk.

arXiv 2510.07745, section 4: r_t = g(x, h_1:t); a trajectory's score is the sum of its r_t.
"""

import logging
from copy import copy
from typing import Any

import torch
from torch import nn
from transformers import (
    GPT2Model,
    GPT2PreTrainedModel,
    LlamaModel,
    LlamaPreTrainedModel,
)

from ..models.attention import read_on, read_prompts
from ..models.cache import Group, RowCache
from ..models.memory import is_out_of_memory, release_memory
from ..models.positions import position_limit
from ..models.trial import check_model
from .errors import RewardError

logger = logging.getLogger(__name__)

_THOUGHTS = 4096  # read at once: more gain no speed, and their activations fill memory


class LatentRewardHead:
    """Mixin: a linear head on the trunk's last hidden states, and how thoughts are scored."""

    @torch.no_grad()
    def score(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        *,
        latent_thoughts: torch.Tensor,
        lengths: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Score every thought of N trajectories of each question.

        The prompt is read once a question. Positions count attended tokens, so a score depends
        neither on padding nor on what else is in the batch. No gradient is kept; for training call
        the model itself.

        Args:
            input_ids: i64[B, P], prompts that end in the start marker, padded on the left.
            attention_mask: i64[B, P]; all ones if None.
            latent_thoughts: f[B, N, T, D]; of what `generate` returns, f[B * N, T, D], the
                `unflatten(0, (B, N))`.
            lengths: i64[B, N], thoughts of each trajectory; all T if None.

        Returns:
            f32[B, N, T]: r_t, zero beyond a trajectory's length, so that the sum over T is the
            trajectory's score.

        Raises:
            RewardError: shapes that do not belong together, thoughts of another hidden size, ids or
                lengths out of range, or more positions than the model has.
        """
        return self.forward(input_ids, attention_mask, latent_thoughts, lengths)

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None,
        latent_thoughts: torch.Tensor,
        lengths: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Do what `score` does, and keep the gradient."""
        model: Any = self
        _check_shapes(model, input_ids, latent_thoughts, attention_mask, lengths)
        count, depth = latent_thoughts.shape[1:3]
        if not depth:
            return latent_thoughts.new_zeros(latent_thoughts.shape[:3], dtype=torch.float32)
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        check_positions(model, mask, depth)
        reader = RewardReader(model, input_ids, mask)
        places = torch.arange(len(input_ids), device=model.device).repeat_interleave(count)
        thoughts = latent_thoughts.to(model.device, model.dtype)
        if lengths is not None:
            there = torch.arange(depth, device=model.device) < lengths.to(model.device)[..., None]
            # Not a product: whatever stands beyond a length, NaN too, leaves no trace.
            thoughts = thoughts.masked_fill(~there.unsqueeze(-1), 0.0)
        rewards = reader.read_of(places, thoughts.flatten(0, 1)).unflatten(0, (-1, count))
        if lengths is not None:
            rewards = rewards.masked_fill(~there, 0.0)
        return rewards


class RewardReader:
    """What a reward model has read of each row: a prompt, then thoughts, a few at a time."""

    def __init__(
        self, model: Any, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None
    ) -> None:
        """Read the prompts i64[B, P], padded on the left; B rows to begin with."""
        check_model(model)
        self._model = model
        input_ids = input_ids.to(model.device)
        if attention_mask is None:
            attention_mask = torch.ones_like(input_ids)
        _, prompts = read_prompts(model, input_ids, attention_mask.to(model.device))
        self._position = prompts.lengths.unsqueeze(1)
        self._cache = RowCache(Group(prompts, torch.arange(len(input_ids), device=model.device)))

    def select(self, rows: torch.Tensor) -> None:
        """Go on with the rows at the indices i64[R], of which some may repeat."""
        self._cache = self._cache.select(rows)
        self._position = self._position[rows]

    def read_of(self, rows: torch.Tensor, thoughts: torch.Tensor) -> torch.Tensor:
        """Return the r_t f32[R, S] of thoughts f[R, S, D] after the rows at i64[R].

        Some rows at a time where no gradient is kept, and fewer where memory runs out. Nothing that
        is read is kept: later calls start from the same rows.
        """
        most = len(rows) if torch.is_grad_enabled() else max(1, _THOUGHTS // thoughts.shape[1])
        rewards: list[torch.Tensor] = []
        done = 0
        while done < len(rows):
            part = slice(done, done + most)
            try:
                reader = copy(self)
                reader.select(rows[part])
                rewards.append(reader.read(thoughts[part]))
                done += most
                continue
            except Exception as error:
                if most == 1 or torch.is_grad_enabled() or not is_out_of_memory(error):
                    raise
            # Outside of the handler, whose traceback holds the tensors.
            del reader
            release_memory()
            most = max(1, min(most, len(rows) - done) // 2)
            logger.warning("Out of memory: scoring %d trajectories at once.", most)
        return torch.cat(rewards)

    def read(self, thoughts: torch.Tensor) -> torch.Tensor:
        """Read the next thoughts f[R, S, D] of every row and return their r_t, f32[R, S]."""
        count = thoughts.shape[1]
        positions = self._position + torch.arange(count, device=self._position.device)
        self._position = self._position + count
        hidden = read_on(self._model, self._cache, thoughts, positions)
        return self._model.classifier(hidden).squeeze(-1).float()


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


def _check_shapes(
    model: Any,
    input_ids: torch.Tensor,
    thoughts: torch.Tensor,
    mask: torch.Tensor | None,
    lengths: torch.Tensor | None,
) -> None:
    width = model.config.hidden_size
    if thoughts.dim() != 4 or len(thoughts) != len(input_ids) or thoughts.shape[-1] != width:
        raise RewardError(
            f"latent_thoughts of shape {tuple(thoughts.shape)} for {len(input_ids)} prompts; "
            f"needed is [{len(input_ids)}, N, T, {width}]: the thoughts of this reward model's own "
            "backbone, grouped by question."
        )
    vocabulary = _vocabulary(model)
    if 0 in (*input_ids.shape, thoughts.shape[1]):
        raise RewardError(
            f"input_ids of shape {tuple(input_ids.shape)} and latent_thoughts of shape "
            f"{tuple(thoughts.shape)}; needed is at least one prompt, token and trajectory."
        )
    if bool(((input_ids < 0) | (input_ids >= vocabulary)).any()):
        raise RewardError(
            f"input_ids from {int(input_ids.min())} to {int(input_ids.max())}; the reward model "
            f"{model.name_or_path!r} knows 0 to {vocabulary - 1}. Use its own backbone's tokenizer."
        )
    if mask is not None and (mask.shape != input_ids.shape or not bool(mask[:, -1:].all())):
        raise RewardError(
            f"attention_mask of shape {tuple(mask.shape)} for input_ids of shape "
            f"{tuple(input_ids.shape)}; needed is the same shape, padded on the left, so that "
            "every prompt ends with an attended token."
        )
    if lengths is not None and lengths.shape != thoughts.shape[:2]:
        raise RewardError(
            f"lengths of shape {tuple(lengths.shape)} for thoughts of shape "
            f"{tuple(thoughts.shape)}; needed is {list(thoughts.shape[:2])}."
        )
    if lengths is not None and bool(((lengths < 0) | (lengths > thoughts.shape[2])).any()):
        raise RewardError(
            f"lengths from {int(lengths.min())} to {int(lengths.max())}; allowed are 0 to "
            f"{thoughts.shape[2]}, the thoughts given."
        )


def check_positions(model: Any, mask: torch.Tensor, depth: int) -> None:
    """Raise RewardError where a prompt, mask i64[B, P], with `depth` thoughts is too long."""
    needed = int(mask.sum(dim=1).max()) + depth
    limit = position_limit(model)
    if needed > limit:
        raise RewardError(
            f"A prompt with {depth} thoughts needs {needed} positions; the reward model "
            f"{model.name_or_path!r} has {limit}. Shorten the question."
        )


def check_fit(backbone: Any, model: Any) -> None:
    """Raise RewardError for a reward model that cannot read a backbone's prompts and thoughts."""
    for what, ours, theirs in (
        ("thoughts of size", model.config.hidden_size, backbone.config.hidden_size),
        ("token ids below", _vocabulary(model), _vocabulary(backbone)),
    ):
        if ours != theirs:
            raise RewardError(
                f"The reward model {model.name_or_path!r} reads {what} {ours}, but the backbone "
                f"{backbone.name_or_path!r} has {what} {theirs}: they do not belong together. "
                "Give a reward model that was trained on this backbone."
            )


def _vocabulary(model: Any) -> int:
    return model.get_input_embeddings().num_embeddings

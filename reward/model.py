"""LatentRM: a scalar for every thought, from a copy of a backbone's trunk.

arXiv 2510.07745, section 4: r_t = g(x, h_1:t); a trajectory's score is the sum of its r_t.
"""

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from transformers import (
    MODEL_MAPPING,
    GPT2Config,
    LlamaConfig,
    PreTrainedConfig,
    PreTrainedModel,
)

from ..models import EngineOptions, Trajectory
from ..models.backbones.protocol import Readable
from ..models.engine.prompts import pad_left
from .checks import check_positions, check_shapes
from .errors import RewardError
from .reader import RewardReader

ENDING = "ForTokenClassification"
UNNAMED = "Latent"  # begins the names of classes that say nothing of a method

if TYPE_CHECKING:
    # Readable says less than transformers where it must fit other models, too.
    class _Model(Readable, PreTrainedModel):  # type: ignore[misc]
        """What a reward head stands before."""
else:
    _Model = object  # the methods that transformers' model brings must not be hidden


class LatentRewardHead(_Model):
    """Mixin: a linear head on the trunk's last hidden states, and how thoughts are scored.

    Attributes:
        classifier: from the hidden size to 1.
        engine_options: how scores are computed.
    """

    classifier: nn.Linear
    engine_options: EngineOptions = EngineOptions()

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
        check_shapes(self, input_ids, latent_thoughts, attention_mask, lengths)
        count, depth = latent_thoughts.shape[1:3]
        if not depth:
            return latent_thoughts.new_zeros(latent_thoughts.shape[:3], dtype=torch.float32)
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        check_positions(self, int(mask.sum(dim=1).max()), depth)
        reader = RewardReader(self, input_ids, mask)
        owners = torch.arange(len(input_ids), device=self.device).repeat_interleave(count)
        thoughts = latent_thoughts.to(self.device, self.dtype)
        if lengths is not None:
            there = torch.arange(depth, device=self.device) < lengths.to(self.device)[..., None]
            # Not a product: whatever stands beyond a length, NaN too, leaves no trace.
            thoughts = thoughts.masked_fill(~there.unsqueeze(-1), 0.0)
        rewards = reader.read_of(owners, thoughts.flatten(0, 1)).unflatten(0, (-1, count))
        if lengths is not None:
            rewards = rewards.masked_fill(~there, 0.0)
        return rewards

    @torch.no_grad()
    def score_trajectories(
        self, prompts: Sequence[Sequence[int]], trajectories: Sequence[Trajectory]
    ) -> list[list[float]]:
        """Score every thought of trajectories; each prompt is read once.

        Args:
            prompts: token ids, which the trajectories' `question` counts.
            trajectories: of these prompts, in any order.

        Returns:
            r_t of each thought of each trajectory.

        Raises:
            RewardError: more positions than the model has.
        """
        depth = max((len(one.thoughts) for one in trajectories), default=0)
        if not depth:
            return [[] for _ in trajectories]
        check_positions(self, max(map(len, prompts)), depth)
        reader = RewardReader(self, *pad_left(prompts, 0))
        owners = torch.tensor([one.question for one in trajectories], device=self.device)
        thoughts = torch.nn.utils.rnn.pad_sequence(
            [one.thoughts for one in trajectories], batch_first=True
        )
        rewards = reader.read_of(owners, thoughts.to(self.device, self.dtype)).tolist()
        return [own[: len(one.thoughts)] for own, one in zip(rewards, trajectories, strict=True)]


def reward_class(
    config_class: type[PreTrainedConfig], name: str | None = None
) -> type[LatentRewardHead]:
    """Put a reward head on the trunk that transformers has for a config.

    Args:
        config_class: such as `GPT2Config`.
        name: of the class, written under `architectures`; if None the released one of the trunk,
            or `Latent…ForTokenClassification` on others.

    Returns:
        A `PreTrainedModel` with `score`, whose weights are named as the trunk's family names them
        (`transformer.*` or `model.*`), and `classifier.*`.

    Raises:
        RewardError: transformers has no trunk for it.
    """
    if config_class not in MODEL_MAPPING:
        raise RewardError(
            f"{config_class!r} belongs to no model of transformers that a reward model "
            "could be built on. Give a reward model of a causal language model."
        )
    family: Any = config_class
    trunk: Any = MODEL_MAPPING[family]
    label = trunk.__name__.removesuffix("Model")
    return _joined(family, trunk, name or f"{_RELEASED.get(label, UNNAMED)}{label}{ENDING}")


@cache
def _joined(config_class: Any, trunk: Any, name: str) -> type[LatentRewardHead]:
    """Return the class of a trunk with a head; the same for the same name."""
    parent = next(kind for kind in trunk.__mro__[1:] if issubclass(kind, PreTrainedModel))

    def build(self: Any, config: PreTrainedConfig) -> None:
        parent.__init__(self, config)
        setattr(self, self.base_model_prefix, trunk(config))
        self.classifier = nn.Linear(config.get_text_config().hidden_size, 1)
        self.post_init()

    more = {"__init__": build, "config_class": config_class}
    more |= {"__module__": __name__, "__doc__": f"LatentRM on {trunk.__name__}."}
    return type(name, (LatentRewardHead, parent), more)


# What stands before the trunk in the names of released reward models.
_RELEASED = {"GPT2": "COCONUT", "Llama": "Colar"}
COCONUTGPT2ForTokenClassification = reward_class(GPT2Config)
ColarLlamaForTokenClassification = reward_class(LlamaConfig)

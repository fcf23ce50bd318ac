"""LatentRM: a scalar for every thought, from a copy of a backbone's trunk.

arXiv 2510.07745, section 4: r_t = g(x, h_1:t); a trajectory's score is the sum of its r_t.
"""

from collections.abc import Sequence
from copy import copy
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

from ..models import EngineOptions, LatentBackbone, Trajectory
from ..models.backbones.protocol import Readable
from ..models.engine.attention import read_on, read_prompts
from ..models.engine.budget import in_parts
from ..models.engine.cache import Group, RowCache
from ..models.engine.positions import position_limit
from ..models.engine.prompts import pad_left
from ..models.engine.trial import check_model
from .errors import RewardError

_THOUGHTS = 4096  # read at once: more gain no speed, and their activations fill memory
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
        _check_shapes(self, input_ids, latent_thoughts, attention_mask, lengths)
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


class RewardReader:
    """What a reward model has read of each row: a prompt, then thoughts, a few at a time."""

    def __init__(
        self,
        model: LatentRewardHead,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
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

        def read(part: slice) -> torch.Tensor:
            reader = copy(self)
            reader.select(rows[part])
            return reader.read(thoughts[part])

        if torch.is_grad_enabled():
            return read(slice(None))
        most = _THOUGHTS // thoughts.shape[1]
        parts = in_parts(len(rows), most, read, what="trajectories")
        return torch.cat([found for _, found in parts])

    def read(self, thoughts: torch.Tensor) -> torch.Tensor:
        """Read the next thoughts f[R, S, D] of every row and return their r_t, f32[R, S]."""
        count = thoughts.shape[1]
        positions = self._position + torch.arange(count, device=self._position.device)
        self._position = self._position + count
        hidden = read_on(self._model, self._cache, thoughts, positions)
        return self._model.classifier(hidden).squeeze(-1).float()


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


def _check_shapes(
    model: LatentRewardHead,
    input_ids: torch.Tensor,
    thoughts: torch.Tensor,
    mask: torch.Tensor | None,
    lengths: torch.Tensor | None,
) -> None:
    width = model.config.get_text_config().hidden_size
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


def check_positions(model: LatentRewardHead, longest: int, depth: int) -> None:
    """Raise RewardError where a prompt of `longest` tokens with `depth` thoughts is too long."""
    needed = longest + depth
    limit = position_limit(model)
    if needed > limit:
        raise RewardError(
            f"A prompt with {depth} thoughts needs {needed} positions; the reward model "
            f"{model.name_or_path!r} has {limit}. Shorten the question."
        )


def check_fit(backbone: LatentBackbone, model: LatentRewardHead) -> None:
    """Raise RewardError for a reward model that cannot read a backbone's prompts and thoughts."""
    for what, ours, theirs in (
        ("thoughts of size", _size(model), _size(backbone)),
        ("token ids below", _vocabulary(model), _vocabulary(backbone)),
    ):
        if ours != theirs:
            raise RewardError(
                f"The reward model {model.name_or_path!r} reads {what} {ours}, but the backbone "
                f"{backbone.name_or_path!r} has {what} {theirs}: they do not belong together. "
                "Give a reward model that was trained on this backbone."
            )


def _size(model: Readable) -> int:
    size: int = model.config.get_text_config().hidden_size
    return size


def _vocabulary(model: Readable) -> int:
    return model.get_input_embeddings().num_embeddings

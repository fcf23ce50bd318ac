"""What samples cost and what their mixtures hold; docs/mixtures.md has each equation."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from .backbones.mixture import Mixture
from .backbones.protocol import LatentBackbone
from .settings import LatentSettings
from .trajectory import Trajectory


@dataclass(frozen=True)
class Spread:
    """How many tokens a mixture's weight is spread over.

    Attributes:
        entropy: f[T], in nats.
        top_1: f[T], the largest weight.
        top_2: f[T], the two largest together.
    """

    entropy: torch.Tensor
    top_1: torch.Tensor
    top_2: torch.Tensor

    @classmethod
    def of(cls, mixture: Mixture) -> "Spread":
        """Return the spread of each of T thoughts."""
        weights = mixture.weights.double()
        largest = weights.sort(dim=-1, descending=True).values
        entropy = torch.special.entr(weights).sum(dim=-1)
        return cls(entropy, largest[:, 0], largest[:, :2].sum(dim=-1))


def flops(
    model: LatentBackbone, prompt: int, samples: Sequence[Trajectory], settings: LatentSettings
) -> int:
    """Return the floating-point operations of sampling one question; a multiply-add is two.

    Args:
        model: the backbone.
        prompt: tokens P of the prompt.
        samples: of the question.
        settings: that they were sampled under.
    """
    config: Any = model.config.get_text_config()
    size, vocabulary = config.hidden_size, config.vocab_size
    heads = config.num_attention_heads
    width = getattr(config, "head_dim", None) or size // heads
    pair = 4 * config.num_hidden_layers * heads * width  # of a position with one that it attends to
    read = 2 * _matrices(model)
    reads = len(samples) if settings.sampler.prompt_varies else 1
    total = reads * prompt * (read + pair * prompt)
    marker, mixing = len(model.latent_tokens.ending), settings.mixing
    asks = mixing is not None or settings.latent_length is None
    for one in samples:
        thoughts, answer = len(one.thoughts), len(one.answer_ids)
        own = thoughts + marker + answer - 1  # the last token is not read
        total += own * read + pair * (own * prompt + own * (own + 1) // 2)
        stopped = asks and thoughts < settings.thought_limit
        products = answer + (thoughts if asks else 0) + (1 if stopped else 0)
        total += products * 2 * size * vocabulary
        if mixing is not None:
            total += thoughts * 2 * mixing.mixture_size * size
    return total


def _matrices(model: LatentBackbone) -> int:
    """Return the numbers in the trunk's matrices, those that are looked up left out."""
    embeddings = {
        id(module.weight)
        for module in model.base_model.modules()
        if isinstance(module, torch.nn.Embedding)
    }
    weights = model.base_model.parameters()
    return sum(one.numel() for one in weights if one.dim() > 1 and id(one) not in embeddings)


def measures(
    model: LatentBackbone,
    prompts: Sequence[int],
    trajectories: Sequence[Trajectory],
    settings: LatentSettings,
    *,
    written: float | None = None,
) -> dict[str, list[float]]:
    """Return what is measured of each question, by name.

    Args:
        model: the backbone.
        prompts: tokens of each question's prompt.
        trajectories: its samples, which count questions as `prompts` does.
        settings: that they were sampled under.
        written: tokens that a written chain takes on average, to compare with.

    Returns:
        `thoughts` and `answer_tokens`, means over the question's samples, and `flops`; for mixtures
        `entropy`, `top_1`, `top_2` and `parallelism`, means over its thoughts; `compression` where
        `written` is given. A question without thoughts has no numbers of thoughts.
    """
    found: dict[str, list[float]] = {}
    for question, length in enumerate(prompts):
        own = [one for one in trajectories if one.question == question]
        thoughts = sum(len(one.thoughts) for one in own)
        row: dict[str, float] = {
            "thoughts": thoughts / len(own),
            "answer_tokens": sum(len(one.answer_ids) for one in own) / len(own),
            "flops": float(flops(model, length, own, settings)),
        }
        if written is not None and thoughts:
            row["compression"] = written / row["thoughts"]
        spreads = [Spread.of(one.mixture) for one in own if one.mixture is not None]
        if spreads and thoughts:
            entropy = torch.cat([spread.entropy for spread in spreads])
            row["entropy"] = float(entropy.mean())
            row["top_1"] = float(torch.cat([spread.top_1 for spread in spreads]).mean())
            row["top_2"] = float(torch.cat([spread.top_2 for spread in spreads]).mean())
            row["parallelism"] = float(entropy.exp().mean())
        for name, value in row.items():
            found.setdefault(name, []).append(value)
    return found

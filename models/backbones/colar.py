"""CoLaR: a latent head proposes compressed thoughts and the model decides when to stop.

arXiv 2505.16552. A thought is the head's mean, scaled by the standard deviation of the token
embeddings.
"""

from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from ..errors import ModelError
from .protocol import LatentBackbone


class LatentHead(nn.Module):
    """Distribution of the next thought; layer names are those of the released checkpoints."""

    def __init__(
        self, hidden_size: int, intermediate_size: int, *, distribution: bool = False
    ) -> None:
        """Build Linear, GELU, Linear, LayerNorm, and the output layer `mean`.

        Args:
            hidden_size: D.
            intermediate_size: of the layers between.
            distribution: with an output layer `log_std` too.
        """
        super().__init__()
        self.fc = nn.Sequential(
            nn.Linear(hidden_size, intermediate_size),
            nn.GELU(),
            nn.Linear(intermediate_size, intermediate_size),
            nn.LayerNorm(intermediate_size),
        )
        self.mean = nn.Linear(intermediate_size, hidden_size)
        self.log_std = nn.Linear(intermediate_size, hidden_size) if distribution else None

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Map hidden states f[R, D] to unscaled thoughts f[R, D]."""
        return self.mean(self.fc(hidden))

    def spread(self, hidden: torch.Tensor) -> torch.Tensor:
        """Map hidden states f[R, D] to the standard deviations of unscaled thoughts f[R, D]."""
        if self.log_std is None:
            raise ModelError("The latent head has the mean alone; it has no spread to draw from.")
        return self.log_std(self.fc(hidden)).exp()


class Colar(LatentBackbone):
    """Thinking ends when `###` is the likeliest token."""

    backbone = "colar"
    class_prefix = "Colar"
    latent_defaults = MappingProxyType({"max_latent_length": 64})
    chooses_length = True
    dropout_while_answering = True
    start_marker = end_marker = "###"

    def __init__(self, config: Any) -> None:
        """Build the model and its latent head."""
        super().__init__(config)
        self.lt_head = LatentHead(
            config.get_text_config().hidden_size,
            getattr(config, "latent_intermediate_size", 2048),
            distribution=getattr(config, "latent_distribution", False),
        )
        self.least_thoughts = getattr(config, "latent_least_thoughts", 0)
        self.post_init()

    @property
    def latent_embedding_std(self) -> float:
        """Standard deviation of the token embeddings, by which thoughts are scaled."""
        return getattr(self.config, "latent_embedding_std", 0.018)

    def format_prompt(self, question: str, speed: int | None = None) -> str:
        """Return the question in CoLaR's frame, at `config.thinking_speed` or the released 2.

        Args:
            question: the text.
            speed: another one, which training draws for each batch.
        """
        if speed is None:
            speed = getattr(self.config, "thinking_speed", 2)
        return f"Question: {question} Let's think step by step:(Thinking speed: {speed})###"

    def next_thought(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return lt_head(hidden) * latent_embedding_std, f[R, D]."""
        return self.lt_head(hidden) * self.latent_embedding_std

    @property
    def has_thought_spread(self) -> bool:
        """Whether the latent head has `log_std`; the released checkpoints have the mean alone."""
        return self.lt_head.log_std is not None

    def thought_spread(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return the standard deviations of the next thoughts' distribution, f[R, D]."""
        return self.lt_head.spread(hidden) * self.latent_embedding_std

    def read_answer(self, text: str) -> str | None:
        """Return what stands after the last `Answer:`, with `#` taken out."""
        _, marker, tail = text.rpartition("Answer:")
        return tail.replace("#", "").strip() or None if marker else None

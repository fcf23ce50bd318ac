"""CoLaR: a latent head proposes compressed thoughts and the model decides when to stop.

arXiv 2505.16552. A thought is the head's mean, scaled by the standard deviation of the token
embeddings.
"""

from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from .protocol import LatentBackbone


class LatentHead(nn.Module):
    """Mean of the next thought; layer names are those of the released checkpoints."""

    def __init__(self, hidden_size: int, intermediate_size: int) -> None:
        """Build Linear, GELU, Linear, LayerNorm, and the output layer `mean`."""
        super().__init__()
        self.fc = nn.Sequential(
            nn.Linear(hidden_size, intermediate_size),
            nn.GELU(),
            nn.Linear(intermediate_size, intermediate_size),
            nn.LayerNorm(intermediate_size),
        )
        self.mean = nn.Linear(intermediate_size, hidden_size)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Map hidden states f[R, D] to unscaled thoughts f[R, D]."""
        return self.mean(self.fc(hidden))


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
        )
        self.latent_embedding_std: float = getattr(config, "latent_embedding_std", 0.018)
        self.post_init()

    def format_prompt(self, question: str) -> str:
        """Return the question in CoLaR's frame at the released thinking speed of 2."""
        return f"Question: {question} Let's think step by step:(Thinking speed: 2)###"

    def next_thought(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return lt_head(hidden) * latent_embedding_std, f[R, D]."""
        return self.lt_head(hidden) * self.latent_embedding_std

    def read_answer(self, text: str) -> str | None:
        """Return what stands after the last `Answer:`, with `#` taken out."""
        _, marker, tail = text.rpartition("Answer:")
        return tail.replace("#", "").strip() or None if marker else None

"""A backbone of another package: COCONUT whose thoughts pass a learned gate."""

from typing import Any

import torch
from torch import nn

from latent_tts.models import LatentBackbone


class GatedCoconut(LatentBackbone):
    """A thought is the last hidden state, each number scaled by a gate between 0 and 2."""

    backbone = "gated"
    class_prefix = "Gated"
    latent_defaults = {"latent_length": 4}  # noqa: RUF012

    def __init__(self, config: Any) -> None:
        """Build the model and its gate."""
        super().__init__(config)
        size = config.get_text_config().hidden_size
        self.gate = nn.Linear(size, size)
        self.post_init()

    def format_prompt(self, question: str) -> str:
        """Return the question in brackets, and the start marker."""
        return f"[{question}]{self.start_marker}"

    def next_thought(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return gated hidden states f[R, D]."""
        return 2 * torch.sigmoid(self.gate(hidden)) * hidden

    def read_answer(self, text: str) -> str | None:
        """Return what stands in the last brackets."""
        _, bracket, tail = text.rpartition("[")
        return tail.partition("]")[0] or None if bracket else None

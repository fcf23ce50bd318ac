"""CODI: a thought is the last hidden state through a projector (arXiv 2502.21074)."""

from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from ...numerals import last_number
from .protocol import LatentBackbone


class Codi(LatentBackbone):
    """A projector stands between the last hidden state and the next input embedding.

    Its layers have the indices 1, 3 and 4 of a sequence, which are their names in released
    checkpoints.
    """

    backbone = "codi"
    class_prefix = "CODI"
    latent_defaults = MappingProxyType({"latent_length": 6})

    def __init__(self, config: Any) -> None:
        """Build the model and, where `config.projector` says so, the projector."""
        super().__init__(config)
        self.projector: nn.Module = nn.Identity()
        if getattr(config, "projector", False):
            size = config.get_text_config().hidden_size
            width = getattr(config, "projector_hidden_size", size)
            self.projector = nn.Sequential(
                nn.Dropout(getattr(config, "projector_dropout", 0.0)),
                nn.Linear(size, width),
                nn.GELU(),
                nn.Linear(width, size),
                *([nn.LayerNorm(size)] if getattr(config, "projector_layer_norm", True) else []),
            )
        self.post_init()

    def format_prompt(self, question: str) -> str:
        """Return `{question}` and the start marker, nothing between them.

        Where `config.collapse_spaces` says so, as CODI's own evaluation reads questions: spaces at
        both ends go, and each pair of spaces becomes one, once, from left to right.
        """
        if getattr(self.config, "collapse_spaces", False):
            question = question.strip().replace("  ", " ")
        return f"{question}{self.start_marker}"

    def next_thought(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return projector(hidden), f[R, D]."""
        return self.projector(hidden)

    def read_answer(self, text: str) -> str | None:
        """Return the last number of the generated text."""
        return last_number(text)

"""CODI on GPT-2: a thought is the last hidden state through a projector (arXiv 2502.21074)."""

from types import MappingProxyType

import torch
from torch import nn
from transformers import GPT2Config, GPT2LMHeadModel

from .backbone import LatentBackbone, last_number
from .coconut import GPT2_DROPOUT_MODULES


class CODIGPT2(LatentBackbone, GPT2LMHeadModel):  # type: ignore[misc]
    """GPT-2 with a projector between its last hidden state and its next input embedding.

    The class bears the name that released checkpoints have under `architectures`. The projector's
    layers sit at the places 1, 3 and 4 of a sequence, which are their names in the checkpoint.
    """

    backbone = "codi"
    latent_defaults = MappingProxyType(
        {
            "latent_length": 6,
            "dropout_p": 0.2,
            "dropout_site": "residual",
            "noise_std": 1.4,
        }
    )
    dropout_modules = GPT2_DROPOUT_MODULES

    def __init__(self, config: GPT2Config) -> None:
        """Build GPT-2 and, where `config.projector` says so, the projector."""
        super().__init__(config)
        self.projector: nn.Module = nn.Identity()
        if getattr(config, "projector", False):
            width = getattr(config, "projector_hidden_size", config.n_embd)
            self.projector = nn.Sequential(
                nn.Dropout(getattr(config, "projector_dropout", 0.0)),
                nn.Linear(config.n_embd, width),
                nn.GELU(),
                nn.Linear(width, config.n_embd),
                nn.LayerNorm(config.n_embd),
            )
        self.post_init()

    def format_prompt(self, question: str) -> str:
        """Return `{question}` and the start marker, nothing between them."""
        return f"{question}{self.start_marker}"

    def next_thought(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return projector(hidden), f[R, D]."""
        return self.projector(hidden)

    def read_answer(self, text: str) -> str | None:
        """Return the last number of the generated text."""
        return last_number(text)

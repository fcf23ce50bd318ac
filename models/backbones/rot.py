"""RoT: a thought is what a head makes of the last hidden state, as of a picture (2601.14750).

The head was trained to give what the eye of Qwen3-VL sees in the written chain.
"""

from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from ...numerals import last_number
from .chat import apply_template
from .coconut import after_hash
from .protocol import LatentBackbone

SYSTEM = "You are a helpful assistant."


class Gate(nn.Module):
    """w3(silu(w1 x) · w2 x), without biases (SwiGLU, arXiv 2002.05202)."""

    def __init__(self, size: int) -> None:
        """Build the three layers, f[size, size] each, by their released names."""
        super().__init__()
        self.w1, self.w2, self.w3 = (nn.Linear(size, size, bias=False) for _ in range(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map f[R, size] to f[R, size]."""
        return self.w3(nn.functional.silu(self.w1(x)) * self.w2(x))


class RoT(LatentBackbone):
    """Thinks a fixed number of thoughts between `<img_begin>` and `<img_end>`."""

    backbone = "rot"
    class_prefix = "RoT"
    latent_defaults = MappingProxyType({"latent_length": 32, "max_new_tokens": 32 + 1 + 256})
    start_marker = "<img_begin>"
    end_marker = "<img_end>"

    def __init__(self, config: Any) -> None:
        """Build the model and its head, of the width `config.projection_hidden_size`."""
        super().__init__(config)
        size = config.get_text_config().hidden_size
        width = getattr(config, "projection_hidden_size", 2048)
        self.projection_head = nn.Sequential(
            nn.LayerNorm(size, eps=1e-6),
            nn.Linear(size, width),
            Gate(width),
            nn.Linear(width, size),
        )
        self.post_init()

    def format_prompt(self, question: str) -> str:
        """Return system and user turn in the checkpoint's chat format, and `<img_begin>`."""
        turns = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": question}]
        return apply_template(self, turns, enable_thinking=False) + self.start_marker

    def next_thought(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return projection_head(hidden), f[R, D]."""
        return self.projection_head(hidden)

    def read_answer(self, text: str) -> str | None:
        """Return the last number, of what stands after `####` where that holds one."""
        return last_number(after_hash(text) or "") or last_number(text)

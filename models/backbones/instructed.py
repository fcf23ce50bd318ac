r"""Models that are asked in words to reason step by step, and think between `<think>` tags.

The tags are ordinary text, and thoughts are mixtures of tokens.
"""

from ...boxes import last_box
from .protocol import LatentBackbone

INSTRUCTION = r"Please reason step by step, and put your final answer within \boxed{}."


class Instructed(LatentBackbone):
    """Thinks until `</think>`, and answers in a box."""

    chooses_length = True
    start_marker = "<think>"
    end_marker = "</think>"

    def read_answer(self, text: str) -> str | None:
        r"""Return what stands in the last `\boxed{}`."""
        return last_box(text)

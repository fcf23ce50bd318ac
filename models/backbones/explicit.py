"""Chains of thought written out: the baseline of every latent method, sampled by the same engine.

It has no thoughts. The line break that separates the question from the chain takes the end marker's
part, so the text is what the objective `explicit` trains on.
"""

from types import MappingProxyType

from .coconut import Coconut


class Explicit(Coconut):
    """Reads a question, writes a step on each line, and answers `### 18`."""

    backbone = "explicit"
    class_prefix = "Explicit"
    latent_defaults = MappingProxyType({"latent_length": 0})
    start_marker = end_marker = "\n"

    def format_prompt(self, question: str) -> str:
        """Return the question alone."""
        return question

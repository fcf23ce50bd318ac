"""COCONUT: a thought is the last hidden state itself (arXiv 2412.06769)."""

from types import MappingProxyType

from .protocol import LatentBackbone


def after_hash(text: str) -> str | None:
    """Return what stands after the last `#` of a text, None where nothing does."""
    _, hash_sign, tail = text.rpartition("#")
    return tail.strip() or None if hash_sign else None


class Coconut(LatentBackbone):
    """Reads a question, thinks `latent_length` thoughts, and answers `### 18`."""

    backbone = "coconut"
    class_prefix = "COCONUT"
    latent_defaults = MappingProxyType({"latent_length": 6})

    def format_prompt(self, question: str) -> str:
        """Return `{question}`, a line break, and the start marker."""
        return f"{question}\n{self.start_marker}"

    def read_answer(self, text: str) -> str | None:
        """Return what stands after the last `#`."""
        return after_hash(text)

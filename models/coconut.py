"""COCONUT on GPT-2: a thought is the last hidden state itself (arXiv 2412.06769)."""

from types import MappingProxyType

from transformers import GPT2LMHeadModel

from .backbone import LatentBackbone

GPT2_DROPOUT_MODULES = MappingProxyType(
    {"feed_forward": (".mlp.c_proj",), "residual": (".mlp.c_proj", ".attn.c_proj")}
)


class COCONUTGPT2(LatentBackbone, GPT2LMHeadModel):  # type: ignore[misc]
    """GPT-2 that reads a question, thinks `latent_length` thoughts, and answers `### 18`.

    The class bears the name that released checkpoints have under `architectures`.
    """

    backbone = "coconut"
    latent_defaults = MappingProxyType(
        {
            "latent_length": 6,
            "dropout_p": 0.2,
            "dropout_site": "residual",
            "noise_std": 0.6,
        }
    )
    dropout_modules = GPT2_DROPOUT_MODULES

    def format_prompt(self, question: str) -> str:
        """Return `{question}`, a line break, and the start marker."""
        return f"{question}\n{self.start_marker}"

    def read_answer(self, text: str) -> str | None:
        """Return what stands after the last `#`, thousands commas taken out."""
        _, hash_sign, tail = text.rpartition("#")
        return tail.replace(",", "").strip() or None if hash_sign else None

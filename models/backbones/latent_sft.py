r"""Latent-SFT: a thought is a mixture of the next tokens (arXiv 2510.15522, and 2604.27998).

The checkpoints are plain causal language models. `<think>` and `</think>` are ordinary text.
"""

from collections.abc import Callable
from types import MappingProxyType

from transformers import PreTrainedTokenizerBase

from .chat import apply_template, has_token
from .instructed import INSTRUCTION, Instructed
from .mixture import Mixing

_LLAMA = "<|start_header_id|>{}<|end_header_id|>\n\n"
_DEEPSEEK = "<\uff5cAssistant\uff5c>"


class LatentSFT(Instructed):
    """Thinks until `</think>`, or its first token, is the likeliest, and answers in a box."""

    backbone = "latent_sft"
    class_prefix = "LatentSFT"
    latent_defaults = MappingProxyType(
        {"max_latent_length": 128, "max_new_tokens": 264, "latent_do_sample_by": "gumbel"}
    )
    mixing = Mixing()
    ends_by = "first"

    def format_prompt(self, question: str) -> str:
        """Return the instruction and the question in a turn of the checkpoint's chat format.

        Llama-3's is written as Latent-SFT was trained with it, without system turn and date; others
        are the tokenizer's chat template. `<think>` follows, tokenised by itself.
        """
        text = f"{INSTRUCTION}\n{question}"
        if has_token(self, _LLAMA.partition("{")[0]):
            return f"{_LLAMA.format('user')}{text}<|eot_id|>{_LLAMA.format('assistant')}"
        if has_token(self, _DEEPSEEK):
            return apply_template(self, text, generation_prompt=False) + _DEEPSEEK
        return apply_template(self, text)

    def encode_prompt(
        self,
        tokenizer: PreTrainedTokenizerBase,
        question: str,
        format_prompt: Callable[[str], str] | None = None,
    ) -> list[int]:
        """Return the prompt's tokens and those of `<think>`, which are no part of its last word."""
        prompt = super().encode_prompt(tokenizer, question, format_prompt)
        return [*prompt, *tokenizer.encode(self.start_marker, add_special_tokens=False)]

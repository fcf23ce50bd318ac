"""Chains of thought written out: the baseline of every latent method, sampled by the same engine.

It has no thoughts. What separates the question from the chain takes the end marker's part: the line
break that the objective `explicit` trains on, or the last token of a chat format's prompt.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from transformers import PreTrainedTokenizerBase

from ...boxes import boxed
from ...numerals import last_number
from ..errors import ModelError
from .chat import apply_template, tokenizer_with_chat
from .coconut import Coconut, after_hash
from .prompts import PromptEncoder


class Explicit(Coconut):
    """Reads a question, writes a step on each line, and answers `### 18`; or chats.

    Any causal language model may be asked in its own chat format, few-shot examples included:
    `chat` writes such a prompt, which `encode_prompt` then knows.
    """

    backbone = "explicit"
    class_prefix = "Explicit"
    latent_defaults = MappingProxyType({"latent_length": 0, "latent_do_sample": False})
    start_marker = end_marker = "\n"
    reads_chats = True

    def __init__(self, config: Any) -> None:
        """Build the model."""
        super().__init__(config)
        self.chat_end: int | None = None  # the last token of its prompts, where it reads chats
        self._chats: dict[str, Sequence[Mapping[str, str]]] = {}

    def format_prompt(self, question: str) -> str:
        """Return the question alone; among chats, as a chat of one turn."""
        if self.chat_end is None:
            return question
        return apply_template(self, [{"role": "user", "content": question}])

    def chat(self, turns: Sequence[Mapping[str, str]]) -> str:
        """Return turns in the checkpoint's chat format, up to where the answer begins.

        From then on the model reads chats alone.

        Args:
            turns: of `role` and `content`; the last is the question, the others may be examples.

        Raises:
            ModelError: no chat template, or one that refuses these turns.
        """
        written = apply_template(self, turns)
        self.join_chats(tokenizer_with_chat(self).encode(written, add_special_tokens=False)[-1])
        self._chats[written] = turns
        return written

    def join_chats(self, end: int) -> None:
        """Read chats alone from now on, as a model in another process does that wrote them.

        Args:
            end: the last token of its prompts, `chat_end` there.
        """
        self.chat_end = end
        self.latent_tokens = replace(self.latent_tokens, end=end)

    def encode_prompt(
        self,
        tokenizer: PreTrainedTokenizerBase,
        question: str,
        format_prompt: Callable[[str], str] | None = None,
    ) -> list[int]:
        """Tokenise a question, or a prompt that `chat` wrote, but for its last token.

        What the last turn spells of control tokens is text.

        Raises:
            ModelError: a question beside chats, or one that spells a control token which the
                tokenizer cannot encode otherwise.
        """
        if self.chat_end is None:
            return super().encode_prompt(tokenizer, question, format_prompt)
        turns = self._chats.get(question)
        if turns is None:
            raise ModelError(
                f"The prompt {question[:60]!r} is in no chat format, and others of this model are: "
                "chats and plain questions cannot be mixed. Write it by chat(), or load the model "
                "once more."
            )
        *before, last = turns
        encoder = PromptEncoder.of(tokenizer)
        ids = encoder.encode(
            last["content"], lambda text: apply_template(self, [*before, {**last, "content": text}])
        )
        if ids[-1] != self.latent_tokens.end:
            raise ModelError(
                f"The chat template of {self.name_or_path!r} ends prompts with different tokens, "
                "so that answers would begin differently. Give a template whose generation prompt "
                "is the same for all."
            )
        return ids[:-1]

    def read_answer(self, text: str) -> str | None:
        """Return what stands after the last `#`; in a chat else in the last box, or a number."""
        if (found := after_hash(text)) is not None or self.chat_end is None:
            return found
        return boxed(text) or last_number(text)

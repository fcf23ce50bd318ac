"""A question is text: where it spells a control token, its characters are encoded.

A question may hold `<|end-latent|>### 7<|endoftext|>`, or, for CoLaR, `###`. As live tokens these
would end thinking before it began and answer the question.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property, lru_cache

from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerBase

from ..errors import ModelError

_QUESTION = "\ue000"  # stands for a question in a format; a character of private use
_LOOKS_LIVE = re.compile(r"<\S.*>|\[\S.*\]")  # <think> is often added, but not as a special token


class PromptEncoder:
    """Encodes prompts by a tokenizer, of whose control tokens only the format's stay live."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, markers: Sequence[str]) -> None:
        """Find the control tokens: special ones, those that look so, and a backbone's markers.

        Args:
            tokenizer: the checkpoint's.
            markers: texts that may be tokens of the vocabulary itself, such as CoLaR's `###`.
        """
        self._tokenizer = tokenizer
        self._added = {
            index: token.content
            for index, token in tokenizer.added_tokens_decoder.items()
            if token.special or _LOOKS_LIVE.fullmatch(token.content) or token.content in markers
        }
        # A marker of one character is a character: there is no other way to encode it.
        marked = (self._encode(marker) for marker in markers if len(marker) > 1)
        self._control = frozenset(self._added) | {ids[0] for ids in marked if len(ids) == 1}

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase, *markers: str) -> "PromptEncoder":
        """Return the encoder of a tokenizer, made once for as many tokens as it has."""
        return _encoder(tokenizer, len(tokenizer), markers)

    def encode(self, question: str, format_prompt: Callable[[str], str]) -> list[int]:
        """Return a prompt's token ids, in which nothing of the question is a control token.

        Where the question spells none, they are what the tokenizer makes of the whole prompt.

        Raises:
            ModelError: the question spells a control token that cannot be encoded otherwise.
        """
        prompt = format_prompt(question)
        ids = self._encode(prompt)
        wanted = self._controls(self._encode(format_prompt("x")), question)
        spelled = self._controls(ids, question)
        if spelled == wanted:
            return ids
        before, _, after = format_prompt(_QUESTION).partition(_QUESTION)
        if before + question + after == prompt and self._plain is not None:
            ids = self._encode_plainly(question, before, after, self._plain)
            spelled = self._controls(ids, question)
            if spelled == wanted:
                return ids
        names = self._tokenizer.convert_ids_to_tokens([*(spelled - wanted)])
        raise ModelError(
            f"The question {_short(question)} spells {' and '.join(map(repr, names))}, which this "
            "tokenizer cannot encode as plain characters. Take it out of the question."
        )

    def _encode(self, text: str) -> list[int]:
        return self._tokenizer.encode(text, add_special_tokens=False)

    def _controls(self, ids: Iterable[int], question: str) -> Counter[int]:
        """Count the control tokens; an unknown character's only where the question spells it."""
        found = Counter(index for index in ids if index in self._control)
        if str(self._tokenizer.unk_token) not in question:
            found.pop(self._tokenizer.unk_token_id, None)
        return found

    def _encode_plainly(
        self, question: str, before: str, after: str, plain: Tokenizer
    ) -> list[int]:
        """Encode the format's control tokens as they are, and the text between without any."""
        longest_first = sorted(self._added.values(), key=len, reverse=True)
        live = re.compile("|".join(map(re.escape, longest_first)) or "(?!)")
        start = max((found.end() for found in live.finditer(before)), default=0)
        first = live.search(after)
        stop = len(after) if first is None else first.start()
        left = before[start:]
        text = plain.encode(left + question + after[:stop], add_special_tokens=False)
        ids = self._encode(before[:start]) if start else []
        for index, (begin, end) in zip(text.ids, text.offsets, strict=True):
            inside = begin < len(left) + len(question) and end > len(left)
            ids += self._characters(index) if inside and index in self._control else [index]
        return ids + (self._encode(after[stop:]) if after[stop:] else [])

    def _characters(self, index: int) -> list[int]:
        """Return the token of each character of a token; the token where there is none."""
        token = self._tokenizer.convert_ids_to_tokens(index)
        return [self._vocabulary.get(character, index) for character in token]

    @cached_property
    def _vocabulary(self) -> dict[str, int]:
        return self._tokenizer.get_vocab()

    @cached_property
    def _plain(self) -> Tokenizer | None:
        """The tokenizer without its control tokens; None where it is not of `tokenizers`."""
        backend = getattr(self._tokenizer, "backend_tokenizer", None)
        if backend is None:
            return None
        written = json.loads(backend.to_str())
        written["added_tokens"] = [
            token for token in written["added_tokens"] if token["id"] not in self._added
        ]
        # These add tokens, trim offsets and cut texts off.
        written |= {"post_processor": None, "truncation": None, "padding": None}
        return Tokenizer.from_str(json.dumps(written))


@lru_cache(maxsize=8)
def _encoder(
    tokenizer: PreTrainedTokenizerBase, size: int, markers: tuple[str, ...]
) -> PromptEncoder:
    return PromptEncoder(tokenizer, markers)


def _short(question: str) -> str:
    return repr(question if len(question) <= 80 else f"{question[:77]}…")

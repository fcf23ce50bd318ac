"""What thoughts are near to: the vocabulary tokens whose input embeddings point their way."""

from functools import cached_property

import torch
from torch.nn.functional import normalize
from transformers import PreTrainedTokenizerBase

from ..models import LatentBackbone, ModelError

Nearest = tuple[tuple[str, ...], ...]
"""For each thought the texts of its nearest tokens, the nearest first."""


class NearestTokens:
    """Finds the tokens that thoughts are near to, by the cosine with input embeddings.

    A thought is read in half precision, as a store keeps it, so that samples which were found there
    and samples which were just drawn have the same tokens.
    """

    def __init__(
        self, model: LatentBackbone, tokenizer: PreTrainedTokenizerBase, count: int
    ) -> None:
        """Take the embeddings of a model.

        Args:
            model: whose thoughts.
            tokenizer: the model's, for the tokens' texts.
            count: tokens for each thought.

        Raises:
            ModelError: the vocabulary has fewer tokens.
        """
        self._tokens = min(len(tokenizer), model.get_input_embeddings().num_embeddings)
        if count > self._tokens:
            raise ModelError(
                f"nearest_tokens={count}, but the vocabulary has {self._tokens} tokens; allowed "
                f"are 0 (none) to {self._tokens}."
            )
        self._model, self._tokenizer, self._count = model, tokenizer, count

    @torch.no_grad()
    def of(self, thoughts: torch.Tensor) -> Nearest:
        """Return the nearest tokens of the thoughts f[T, D] of a sample."""
        read = torch.as_tensor(thoughts).half().float().to(self._embeddings.device)
        near = (normalize(read, dim=-1) @ self._embeddings.T).topk(self._count, dim=-1).indices
        return tuple(tuple(map(self._text, row)) for row in near.tolist())

    def _text(self, token: int) -> str:
        """Return a token's text; its own spelling where it is a part of a character."""
        text = str(self._tokenizer.decode([token]))
        return str(self._tokenizer.convert_ids_to_tokens(token)) if "\ufffd" in text else text

    @cached_property
    def _embeddings(self) -> torch.Tensor:
        """Input embeddings f32[V, D] of length 1."""
        weight = self._model.get_input_embeddings().weight.detach()[: self._tokens]
        return normalize(weight.float(), dim=-1)

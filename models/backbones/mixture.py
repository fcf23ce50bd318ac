"""Thoughts that are mixtures: next tokens, their weights, and the sum of their input embeddings."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from ..errors import ModelError
from ..fields import check_fields, integer, real


@dataclass(frozen=True)
class Mixture:
    """Tokens of whose input embeddings thoughts are mixed; along rows, or along a trajectory.

    Attributes:
        ids: i64[R, K], no token twice in a row.
        log_probs: f32[R, K], the natural logarithms of their weights, which sum to 1; -inf for
            those that are left out.
    """

    ids: torch.Tensor
    log_probs: torch.Tensor

    @property
    def weights(self) -> torch.Tensor:
        """f32[R, K], how much of each token's embedding there is."""
        return self.log_probs.exp()

    @property
    def largest(self) -> torch.Tensor:
        """i64[R], the token with the largest weight in each row."""
        best = self.log_probs.argmax(dim=-1, keepdim=True)
        return self.ids.gather(-1, best).squeeze(-1)

    def select(self, chosen: torch.Tensor | slice) -> "Mixture":
        """Return the mixtures of the rows at `chosen`, i64[R']."""
        return Mixture(self.ids[chosen], self.log_probs[chosen])

    def embed(self, embedding: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
        """Return f[R, D], the sums of weight times embedding."""
        found = embedding(self.ids)
        return torch.einsum("rk,rkd->rd", self.weights.to(found.dtype), found)

    @classmethod
    def spread(cls, parts: "Mixture", rows: torch.Tensor | slice, count: int) -> "Mixture":
        """Return `count` mixtures, those at `rows` as given and all others of nothing."""
        if isinstance(rows, slice):
            return parts
        size = (count, parts.ids.shape[1])
        ids, log_probs = parts.ids.new_zeros(size), parts.log_probs.new_full(size, -torch.inf)
        ids[rows], log_probs[rows] = parts.ids, parts.log_probs
        return cls(ids, log_probs)


@dataclass(frozen=True, kw_only=True)
class Mixing:
    """How the next tokens become a mixture: a backbone's own settings, which users type.

    Attributes:
        mixture_size: tokens k that are mixed, those with the largest logits.
        mixture_temperature: weights are softmax(logits / temperature) over them; at 0 the thought
            is the likeliest token's embedding.
    """

    mixture_size: int = integer(10, least=1)
    mixture_temperature: float = real(1.0)

    def __post_init__(self) -> None:
        """Check every field."""
        check_fields(self)

    def check(self, vocabulary: int, name: str) -> None:
        """Raise ModelError for more tokens than the vocabulary of a checkpoint called `name`."""
        if self.mixture_size > vocabulary:
            raise ModelError(
                f"mixture_size={self.mixture_size}, but {name!r} has {vocabulary} tokens, of which "
                "no more can be mixed. Give a smaller one; published checkpoints were trained "
                "with 10."
            )

    def keep(self, logits: torch.Tensor) -> Mixture:
        """Return the tokens that may be mixed, the likeliest first, and their weights.

        Args:
            logits: f[R, V] of all tokens.
        """
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        largest, ids = logits.topk(self.mixture_size, dim=-1)
        return Mixture(ids, log_softmax(largest, self.mixture_temperature))

    def cut(self, mixture: Mixture) -> Mixture:
        """Return what is left of kept tokens where fewer are mixed than were kept."""
        return mixture

    @property
    def certain_steps(self) -> int:
        """Steps in a row that must be certain to end what a row does."""
        return 1

    def certain(
        self, logits: torch.Tensor, thinking: torch.Tensor, temperature: float
    ) -> torch.Tensor | None:
        """Return which of the next tokens' distributions are certain, bool[R]; None if not asked.

        Args:
            logits: f[R, V].
            thinking: bool[R].
            temperature: of the rows that answer.
        """
        return None

    def leading(self, likeliest: torch.Tensor, mixture: Mixture) -> torch.Tensor:
        """Return the token i64[R] that stands for each thought: that which may end thinking.

        Args:
            likeliest: i64[R], the tokens with the largest logits.
            mixture: after a sampler.
        """
        return likeliest


def log_softmax(scores: torch.Tensor, temperature: float) -> torch.Tensor:
    """Return the logarithms of softmax(scores / temperature), f[R, K]; at 0 of the largest alone.

    Of equal scores the first is the largest.
    """
    if temperature > 0:
        return (scores / temperature).log_softmax(dim=-1)
    ranks = torch.arange(scores.shape[-1], device=scores.device)
    best = ranks == scores.argmax(dim=-1, keepdim=True)
    return torch.where(best, 0.0, -torch.inf).to(scores.dtype)

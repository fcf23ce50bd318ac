"""The next tokens: the head's products with hidden states, the likeliest token, and sampling."""

import math
from collections.abc import Callable, Iterator, Sequence

import torch

from ..backbones.protocol import LatentBackbone, Readable
from ..backbones.tokens import indices_within
from ..errors import ModelError
from ..samplers import Draw, randomness
from . import kernels

_SAMPLED_ROWS = 64  # whose next tokens are sampled at once: a random number for every known token


def likeliest(model: LatentBackbone, hidden: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the largest logit f[R] of each row of hidden states f[R, D], and its token i64[R].

    NaN counts as the largest; of equal logits the first wins. No table of all logits is made where
    the head is packed.
    """
    found = [part.max(dim=-1) for part in _parts(model, hidden)]
    if len(found) == 1:
        return found[0].values, found[0].indices
    largest = torch.stack([best.values for best in found]).max(dim=0)
    tokens = torch.stack([best.indices for best in found])
    best = tokens.gather(0, largest.indices[None])[0] + largest.indices * kernels.HEAD_TOKENS
    return largest.values, best


def logits(model: LatentBackbone, hidden: torch.Tensor) -> torch.Tensor:
    """Return the logits f[R, V] of hidden states f[R, D]."""
    return torch.cat(list(_parts(model, hidden)), dim=-1)


def greedy_tokens(model: LatentBackbone, hidden: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the likeliest tokens i64[R] after hidden states f[R, D], and whose logits are finite.

    The largest logit stands for all, bool[R]: NaN counts as larger than any number, and a hook may
    forbid tokens by -inf.
    """
    largest, best = likeliest(model, hidden)
    return best, largest.isfinite()


def sampled_tokens(
    model: LatentBackbone,
    hidden: torch.Tensor,
    draw: Draw,
    *,
    temperature: torch.Tensor,
    nucleus: tuple[int, float],
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return tokens i64[R] drawn from softmax(logits / temperature), and whose logits are finite.

    Args:
        model: has a head.
        hidden: f[R, D].
        draw: random numbers at the rows' addresses, at the positions of the tokens.
        temperature: f64[R]; rows at 0 take the likeliest token.
        nucleus: as `drawn_tokens` takes it.
    """
    found, finite = [], []
    for rows in row_parts(len(hidden)):
        every = logits(model, hidden[rows])
        tokens, largest = drawn_tokens(every, draw[rows], temperature[rows], nucleus)
        found.append(tokens)
        finite.append(largest.isfinite())
    return torch.cat(found), torch.cat(finite)


def row_parts(count: int) -> Iterator[slice]:
    """Yield the rows of which a table of all logits is made at once."""
    for start in range(0, count, _SAMPLED_ROWS):
        yield slice(start, start + _SAMPLED_ROWS)


def drawn_tokens(
    every: torch.Tensor, draw: Draw, temperature: torch.Tensor, nucleus: tuple[int, float]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return tokens i64[R] drawn from softmax(logits / temperature), and the largest logits f[R].

    Args:
        every: f[R, V], the logits.
        draw: random numbers at the rows' addresses.
        temperature: f64[R]; rows at 0 take the likeliest token.
        nucleus: top_k and top_p: drawn is among the top_k likeliest tokens (all at 0), and of these
            among the likeliest that together have at least the probability top_p.
    """
    uniform = randomness.uniform(
        draw.keys, draw.positions, site=randomness.ANSWER_SITE, size=every.shape[-1]
    )
    # Gumbel-max: the argmax of logits / temperature + Gumbel noise is a sample of softmax.
    scale = temperature.unsqueeze(-1)
    scaled = within_nucleus(every.double() / scale, *nucleus)
    noisy = scaled - (-uniform.log()).log()
    largest, best = every.max(dim=-1)
    return torch.where(temperature > 0, noisy.argmax(dim=-1), best), largest


def within_nucleus(scores: torch.Tensor, top_k: int, top_p: float) -> torch.Tensor:
    """Return scores f[R, V] with -inf for tokens beyond the top_k, and beyond the top_p of these.

    Of equal scores at either bound all stay.
    """
    if top_k and top_k < scores.shape[-1]:
        least = scores.topk(top_k, dim=-1).values[:, -1:]
        scores = scores.masked_fill(scores < least, -math.inf)
    if top_p < 1:
        ordered = scores.sort(dim=-1, descending=True).values
        shares = ordered.softmax(dim=-1)
        before = shares.cumsum(dim=-1) - shares
        kept = (before < top_p).sum(dim=-1, keepdim=True).clamp(min=1)
        scores = scores.masked_fill(scores < ordered.gather(-1, kept - 1), -math.inf)
    return scores


def without_forbidden(model: LatentBackbone, every: torch.Tensor, first: int = 0) -> torch.Tensor:
    """Return logits f[R, V'] of the tokens from `first` on, -inf for those never answered."""
    forbidden = indices_within(model.latent_tokens.forbidden, first, every.shape[-1], every.device)
    return every if forbidden is None else every.index_fill(-1, forbidden, -math.inf)


def all_logits(model: LatentBackbone, hidden: torch.Tensor) -> torch.Tensor:
    """Return the logits f[R, V] of hidden states f[R, D], those never answered among them."""
    return torch.cat([part(hidden) for part in _head(model)], dim=-1)


def _parts(model: LatentBackbone, hidden: torch.Tensor) -> Iterator[torch.Tensor]:
    """Yield the logits of each part of the vocabulary, -inf for tokens that are never answered."""
    first = 0
    for part in _head(model):
        found = part(hidden)
        yield without_forbidden(model, found, first)
        first += found.shape[-1]


def _head(model: Readable) -> Sequence[Callable[[torch.Tensor], torch.Tensor]]:
    """Return the language-model head, in parts of the vocabulary where it is packed.

    Raises:
        ModelError: the model has no head.
    """
    parts = kernels.packed_head(model)
    if parts:
        return parts
    head = model.get_output_embeddings()
    if head is None:
        raise ModelError(f"{type(model).__name__} has no language-model head to answer with.")
    return [head]

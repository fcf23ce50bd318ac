"""The next tokens: the head's products with hidden states, the likeliest token, and sampling."""

import math
from collections.abc import Callable, Iterator, Sequence

import torch

from ..backbones.protocol import LatentBackbone, Readable
from ..backbones.tokens import indices_within
from ..errors import ModelError
from ..samplers import randomness
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
    keys: torch.Tensor,
    positions: torch.Tensor,
    *,
    temperature: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return tokens i64[R] drawn from softmax(logits / temperature), and whose logits are finite.

    Args:
        model: has a head.
        hidden: f[R, D].
        keys: i64[R], the rows' keys.
        positions: i64[R], of the tokens.
        temperature: f64[R]; rows at 0 take the likeliest token.
    """
    found, finite = [], []
    for start in range(0, len(hidden), _SAMPLED_ROWS):
        rows = slice(start, start + _SAMPLED_ROWS)
        every = logits(model, hidden[rows])
        uniform = randomness.uniform(
            keys[rows], positions[rows], site=randomness.ANSWER_SITE, size=every.shape[-1]
        )
        # Gumbel-max: the argmax of logits / temperature + Gumbel noise is a sample of softmax.
        scale = temperature[rows].unsqueeze(-1)
        noisy = every.double() / scale - (-uniform.log()).log()
        largest, best = every.max(dim=-1)
        found.append(torch.where(scale[:, 0] > 0, noisy.argmax(dim=-1), best))
        finite.append(largest.isfinite())
    return torch.cat(found), torch.cat(finite)


def _parts(model: LatentBackbone, hidden: torch.Tensor) -> Iterator[torch.Tensor]:
    """Yield the logits of each part of the vocabulary, -inf for tokens that are never answered."""
    first = 0
    for part in _head(model):
        found = part(hidden)
        forbidden = indices_within(
            model.latent_tokens.forbidden, first, found.shape[-1], found.device
        )
        if forbidden is not None:
            found = found.index_fill(-1, forbidden, -math.inf)
        yield found
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

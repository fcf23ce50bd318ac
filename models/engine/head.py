"""The next tokens: the head's products with hidden states, the likeliest token, and sampling."""

from collections.abc import Callable, Sequence

import torch

from ..backbones.protocol import Readable
from ..errors import ModelError, check_finite
from ..samplers import randomness
from . import kernels

_ANSWER_SITE = 1 << 20  # the address of answer sampling, beyond every dropout site
_SAMPLED_ROWS = 64  # whose next tokens are sampled at once: a random number for every known token


def likeliest(model: Readable, hidden: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the largest logit f[R] of each row of hidden states f[R, D], and its token i64[R].

    NaN counts as the largest; of equal logits the first wins. No table of all logits is made where
    the head is packed.
    """
    found = [part(hidden).max(dim=-1) for part in _head(model)]
    if len(found) == 1:
        return found[0].values, found[0].indices
    largest = torch.stack([best.values for best in found]).max(dim=0)
    tokens = torch.stack([best.indices for best in found])
    best = tokens.gather(0, largest.indices[None])[0] + largest.indices * kernels.HEAD_TOKENS
    return largest.values, best


def logits(model: Readable, hidden: torch.Tensor) -> torch.Tensor:
    """Return the logits f[R, V] of hidden states f[R, D]."""
    return torch.cat([part(hidden) for part in _head(model)], dim=-1)


def greedy_tokens(model: Readable, hidden: torch.Tensor) -> torch.Tensor:
    """Return the likeliest tokens i64[R] after hidden states f[R, D].

    Raises:
        ModelError: logits that are not finite.
    """
    largest, best = likeliest(model, hidden)
    # The largest logit stands for all: NaN counts as larger than any number, and a hook may
    # forbid tokens by -inf.
    check_finite(largest, "logits", model)
    return best


def sampled_tokens(
    model: Readable,
    hidden: torch.Tensor,
    keys: torch.Tensor,
    positions: torch.Tensor,
    *,
    temperature: float,
    greedy: torch.Tensor,
) -> torch.Tensor:
    """Return tokens i64[R] drawn from softmax(logits / temperature).

    Args:
        model: has a head.
        hidden: f[R, D].
        keys: i64[R], the rows' keys.
        positions: i64[R], of the tokens.
        temperature: above 0.
        greedy: bool[R], rows that take the likeliest token all the same.

    Raises:
        ModelError: logits that are not finite.
    """
    everyone = torch.arange(len(hidden), device=hidden.device)
    found = []
    for rows in everyone.split(_SAMPLED_ROWS):
        every = logits(model, hidden[rows])
        check_finite(every.amax(dim=-1), "logits", model)
        uniform = randomness.uniform(
            keys[rows], positions[rows], site=_ANSWER_SITE, size=every.shape[-1]
        )
        # Gumbel-max: the argmax of logits / temperature + Gumbel noise is a sample of softmax.
        noisy = every.double() / temperature - (-uniform.log()).log()
        found.append(torch.where(greedy[rows], every.argmax(dim=-1), noisy.argmax(dim=-1)))
    return torch.cat(found)


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

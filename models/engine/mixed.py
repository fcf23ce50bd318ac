"""The next tokens of rows whose thoughts are mixtures: one product with the head serves all.

It says which row ends its thinking, of what the next thought is mixed, and what is answered.
"""

from dataclasses import dataclass

import torch

from ..backbones.mixture import Mixing, Mixture
from ..backbones.protocol import LatentBackbone
from ..samplers import Draw
from ..settings import LatentSettings
from .head import all_logits, drawn_tokens, row_parts, without_forbidden


@dataclass(frozen=True)
class Next:
    """What follows the hidden states of R rows.

    Attributes:
        tokens: i64[R].
        finite: bool[R], whose logits are finite.
        mixture: of the next thoughts, where they are mixtures.
        certain: bool[R], which distributions have little entropy, where that is asked.
    """

    tokens: torch.Tensor
    finite: torch.Tensor
    mixture: Mixture | None = None
    certain: torch.Tensor | None = None

    @classmethod
    def join(cls, parts: "list[Next]") -> "Next":
        """Return all rows of some parts, all with mixtures."""
        mixtures = [part.mixture for part in parts if part.mixture is not None]
        certain = [part.certain for part in parts if part.certain is not None]
        return cls(
            torch.cat([part.tokens for part in parts]),
            torch.cat([part.finite for part in parts]),
            Mixture(
                torch.cat([one.ids for one in mixtures]),
                torch.cat([one.log_probs for one in mixtures]),
            ),
            torch.cat(certain) if certain else None,
        )


def mixed_tokens(
    model: LatentBackbone,
    hidden: torch.Tensor,
    draw: Draw,
    settings: LatentSettings,
    mixing: Mixing,
    *,
    thinking: torch.Tensor,
    temperature: torch.Tensor,
) -> Next:
    """Return what follows hidden states f[R, D].

    A row that thinks is given the token that may end its thinking, one that answers its next. A
    thought may be mixed of every token that has an embedding, as published; an answer is written
    with the tokenizer's alone.

    Args:
        model: mixes.
        hidden: f[R, D].
        draw: random numbers at the rows' addresses, at the positions of what comes next.
        settings: by what sampler weights are changed, and how answers are drawn.
        mixing: how tokens are mixed.
        thinking: bool[R].
        temperature: f64[R]; rows at 0 take the likeliest token.
    """
    nucleus, parts = (settings.top_k, settings.top_p), []
    for rows in row_parts(len(hidden)):
        every = all_logits(model, hidden[rows])
        largest, likeliest = every.max(dim=-1)
        mixture = _mix(every, draw[rows], settings, mixing)
        allowed = without_forbidden(model, every)
        if settings.do_sample:
            answers, _ = drawn_tokens(allowed, draw[rows], temperature[rows], nucleus)
        else:
            answers = allowed.argmax(dim=-1)
        leading = mixing.leading(likeliest, mixture)
        tokens = torch.where(thinking[rows], leading, answers)
        certain = mixing.certain(every, thinking[rows], settings.answer_temperature)
        parts.append(Next(tokens, largest.isfinite(), mixture, certain))
    return Next.join(parts)


def _mix(every: torch.Tensor, draw: Draw, settings: LatentSettings, mixing: Mixing) -> Mixture:
    """Return the mixtures of logits f[R, V], weighed by the sampler."""
    sampler, kept = settings.sampler, mixing.keep(every)
    if sampler.before_cut:
        return mixing.cut(sampler.weigh(kept, draw))
    return sampler.weigh(mixing.cut(kept), draw)

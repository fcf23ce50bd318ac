r"""Soft thinking: any causal language model thinks in mixtures, without training (2505.15778).

Stochastic soft thinking draws the weights (`latent_do_sample_by=gumbel` or `dirichlet`).
"""

import math
from dataclasses import dataclass
from types import MappingProxyType

import torch

from ..fields import integer, real, share
from .chat import apply_template, tokenizer_with_chat
from .instructed import INSTRUCTION, Instructed
from .mixture import Mixing, Mixture


@dataclass(frozen=True, kw_only=True)
class SoftMixing(Mixing):
    """The likeliest tokens after filters, which are applied one after the other.

    Attributes:
        mixture_top_k: so many of the likeliest tokens are left; all at 0.
        mixture_top_p: of these the likeliest that together have this probability.
        mixture_min_p: of these those with this share of the largest probability.
        cold_stop_entropy: in nats; a step whose distribution, before any filter, has less is
            certain. 0 is off.
        cold_stop_steps: so many certain steps in a row end thinking, or cut the answer off.
    """

    mixture_size: int = integer(15, least=1)
    mixture_temperature: float = real(0.6)
    mixture_top_k: int = integer(30, least=0)
    mixture_top_p: float = share(0.95)
    mixture_min_p: float = real(0.0, below=1.0)
    cold_stop_entropy: float = real(0.0)
    cold_stop_steps: int = integer(256, least=1)

    def keep(self, logits: torch.Tensor) -> Mixture:
        """Return what the filters leave, the likeliest first; -inf for the others."""
        count = min(self.mixture_top_k or logits.shape[-1], logits.shape[-1])
        likeliest = Mixing(mixture_size=count, mixture_temperature=self.mixture_temperature)
        kept = likeliest.keep(logits)
        log_probs = kept.log_probs
        shares = log_probs.exp()
        before = shares.cumsum(dim=-1) - shares
        log_probs = log_probs.masked_fill(before >= self.mixture_top_p, -math.inf)
        if self.mixture_min_p:
            least = log_probs[:, :1] + math.log(self.mixture_min_p)
            log_probs = log_probs.masked_fill(log_probs < least, -math.inf)
        return Mixture(kept.ids, log_probs.log_softmax(dim=-1))

    def cut(self, mixture: Mixture) -> Mixture:
        """Return the `mixture_size` largest, renormalised."""
        size = min(self.mixture_size, mixture.ids.shape[-1])
        largest, at = mixture.log_probs.topk(size, dim=-1)
        ids = mixture.ids.gather(-1, at)
        if lacking := self.mixture_size - size:  # as wide as the trajectories' record
            ids = torch.nn.functional.pad(ids, (0, lacking))
            largest = torch.nn.functional.pad(largest, (0, lacking), value=-math.inf)
        return Mixture(ids, largest.log_softmax(dim=-1))

    @property
    def certain_steps(self) -> int:
        """`cold_stop_steps`."""
        return self.cold_stop_steps

    def certain(
        self, logits: torch.Tensor, thinking: torch.Tensor, temperature: float
    ) -> torch.Tensor | None:
        """Return whose entropy is below `cold_stop_entropy`; None where that is 0."""
        if not self.cold_stop_entropy:
            return None
        scales = torch.where(thinking, self.mixture_temperature or 1.0, temperature).unsqueeze(-1)
        log_probs = (logits.float() / scales).log_softmax(dim=-1)
        return torch.special.entr(log_probs.exp()).sum(dim=-1) < self.cold_stop_entropy

    def leading(self, likeliest: torch.Tensor, mixture: Mixture) -> torch.Tensor:
        """Return the token with the largest weight, which a sampler may have changed."""
        return mixture.largest


class SoftThinking(Instructed):
    """Thinks until the last token of `</think>` has the largest weight, and answers in a box."""

    backbone = "soft_thinking"
    class_prefix = "SoftThinking"
    latent_defaults = MappingProxyType(
        {"max_latent_length": 1024, "max_new_tokens": 1536, "latent_do_sample_by": "gumbel"}
    )
    mixing = SoftMixing()
    ends_by = "last"

    def format_prompt(self, question: str) -> str:
        """Return instruction and question in the checkpoint's chat format, and `<think>`.

        A checkpoint without chat template reads them as plain lines.
        """
        prompt = f"{INSTRUCTION}\n{question}"
        if tokenizer_with_chat(self).chat_template:
            prompt = apply_template(self, prompt)
        if prompt.rstrip().endswith(self.start_marker):
            return prompt
        return f"{prompt.rstrip()}\n{self.start_marker}\n"

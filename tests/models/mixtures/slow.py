"""What Latent-SFT and soft thinking should return, computed slowly by plain transformers.

One sample at a time, without a cache: every step reads the whole sequence of embeddings again.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

Weigh = Callable[[torch.Tensor, torch.Tensor, int], torch.Tensor]


def entropy(p: torch.Tensor) -> float:
    """The entropy of a distribution f[V], in nats."""
    return -sum(x * math.log(x) for x in p.tolist() if x > 0)


@dataclass
class Slow:
    """A trajectory as it grows."""

    inputs: list[torch.Tensor]
    ids: list[torch.Tensor] = field(default_factory=list)
    weights: list[torch.Tensor] = field(default_factory=list)
    thoughts: list[torch.Tensor] = field(default_factory=list)
    answer: list[int] = field(default_factory=list)


class SlowModel:
    """A plain causal language model that thinks in mixtures by hand."""

    def __init__(self, folder: Path) -> None:
        self.model: Any = AutoModelForCausalLM.from_pretrained(folder).eval()
        self.model.set_attn_implementation("eager")
        self.tokenizer: Any = AutoTokenizer.from_pretrained(folder)
        self.embedding = self.model.get_input_embeddings().weight
        self.eos = self.model.generation_config.eos_token_id

    def ids(self, text: str) -> list[int]:
        return self.tokenizer.encode(text, add_special_tokens=False)

    def logits(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """The logits f[V] after all inputs, those of padded embeddings among them."""
        return self.model(inputs_embeds=torch.stack(list(inputs))[None]).logits[0, -1]

    @torch.no_grad()
    def latent_sft(
        self,
        prompt: Sequence[int],
        *,
        size: int,
        temperature: float = 1.0,
        most: int,
        new: int,
        weigh: Callable[[torch.Tensor, torch.Tensor, int], torch.Tensor] | None = None,
        shift: Callable[[int], torch.Tensor] | None = None,
        choose: Callable[[torch.Tensor, int], int] | None = None,
    ) -> Slow:
        """Think as METHODS' Latent-SFT does, and answer.

        Args:
            prompt: token ids.
            size: tokens that are mixed.
            temperature: of their softmax.
            most: thoughts.
            new: thoughts, tokens of `</think>` and of the answer, together.
            weigh: other weights, of log-probabilities, ids and the thought's position.
            shift: what is added to a thought at a position.
            choose: the answer's next token, of logits and position; the likeliest if None.
        """
        end = self.ids("</think>")
        found = Slow(list(self.embedding[list(prompt)]))
        while len(found.thoughts) < most:
            logits = self.logits(found.inputs)
            if int(logits.argmax()) == end[0]:
                break
            order = logits.sort(descending=True)
            ids, kept = order.indices[:size], order.values[:size] / temperature
            log_probs = kept - kept.exp().sum().log()
            weights = log_probs.exp()
            if weigh is not None:
                weights = weigh(log_probs, ids, len(found.inputs))
            thought = sum(w * self.embedding[i] for w, i in zip(weights, ids, strict=True))
            if shift is not None:
                thought = thought + shift(len(found.inputs))
            found.ids.append(ids)
            found.weights.append(weights)
            found.thoughts.append(thought)
            found.inputs.append(thought)
        found.inputs += list(self.embedding[end])
        room = new - len(found.thoughts) - len(end)
        self.write(found, room, choose)
        return found

    @torch.no_grad()
    def soft_thinking(
        self,
        prompt: Sequence[int],
        *,
        temperature: float,
        top_k: int,
        top_p: float,
        min_p: float,
        size: int,
        most: int,
        new: int,
        early: Weigh | None = None,
        late: Weigh | None = None,
        cold: tuple[float, int] = (0.0, 1),
    ) -> Slow:
        """Think as METHODS' soft thinking does, and answer greedily.

        Args:
            prompt: token ids.
            temperature: of the next tokens' distribution p.
            top_k: filter, as are `top_p` and `min_p`, each renormalised.
            top_p: see there.
            min_p: see there.
            size: tokens that are mixed of what the filters leave.
            most: thoughts.
            new: thoughts, the end and the answer, together.
            early: other weights before the largest are chosen, of probabilities, ids and position.
            late: other weights after that.
            cold: entropy below which a step is certain, and how many of them end it.
        """
        end, certain = self.ids("</think>")[-1], 0
        found = Slow(list(self.embedding[list(prompt)]))
        while len(found.thoughts) < most:
            logits = self.logits(found.inputs)
            everything = (logits / temperature).softmax(dim=-1)
            certain = certain + 1 if entropy(everything) < cold[0] else 0
            if certain >= cold[1]:
                certain = 0
                break
            p, ids = everything.sort(descending=True)
            p[top_k or len(p) :] = 0
            p = p / p.sum()
            p[p.cumsum(dim=0) - p >= top_p] = 0
            p = p / p.sum()
            p[p < min_p * p[0]] = 0
            p = p / p.sum()
            ids, p = ids[p > 0], p[p > 0]
            if early is not None:
                p = early(p, ids, len(found.inputs))
            order = p.sort(descending=True)
            ids, p = ids[order.indices[:size]], order.values[:size]
            p = p / p.sum()
            if late is not None:
                p = late(p, ids, len(found.inputs))
            if int(ids[p.argmax()]) == end:
                break
            found.ids.append(ids)
            found.weights.append(p)
            found.thoughts.append(p @ self.embedding[ids])
            found.inputs.append(found.thoughts[-1])
        else:
            certain = 0
        found.inputs.append(self.embedding[end])
        self.write(found, new - len(found.thoughts) - 1, cold=cold, certain=certain)
        return found

    def write(
        self,
        found: Slow,
        room: int,
        choose: Callable[[torch.Tensor, int], int] | None = None,
        *,
        cold: tuple[float, int] = (0.0, 1),
        certain: int = 0,
    ) -> None:
        """Write an answer of at most `room` tokens, of those that the tokenizer has."""
        positions = self.model.config.max_position_embeddings
        while len(found.answer) < room and len(found.inputs) < positions:
            every = self.logits(found.inputs)
            certain = certain + 1 if entropy(every.softmax(dim=-1)) < cold[0] else 0
            logits = every[: len(self.tokenizer)]
            at = len(found.inputs)
            token = int(logits.argmax()) if choose is None else choose(logits, at)
            found.answer.append(token)
            if token == self.eos or certain >= cold[1]:
                break
            found.inputs.append(self.embedding[token])

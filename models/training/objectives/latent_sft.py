"""Latent-SFT, stage 2: the model learns to think an encoder's thoughts (arXiv 2510.15522)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import nn

from ...backbones.mixture import Mixture
from ...errors import ModelError
from ...fields import integer, real
from ...samplers import Draw, Sampler
from ..batches import Sequences, pad_batch
from ..course import Example, Turn
from ..soft_labels import read_soft_labels
from ..unroll import learned_loss, unroll
from .protocol import Batch, Objective, encode


@dataclass(frozen=True, kw_only=True)
class LatentSFTObjective(Objective):
    """Reads soft labels as thoughts; learns to predict each of them, and the answer after them.

    Attributes:
        soft_labels: file that objective latent_sft_labels left beside the base. Without one, each
            token of the written chain is a thought: nothing is compressed, and no encoder is
            needed. This is not the paper's; it makes a model that writes chains one that thinks
            them in mixtures.
        thought_tokens: that a thought is mixed of, as the soft labels are.
        most_thoughts: that are thought at all.
        kl_weight: of the divergence of the next tokens' distribution from the labels.
    """

    name: ClassVar[str] = "latent_sft"
    backbone: ClassVar[str | None] = "latent_sft"

    soft_labels: str = ""
    thought_tokens: int = integer(10, least=1)
    most_thoughts: int = integer(128, least=1)
    kl_weight: float = real(1.0)

    def check_sampler(self, model: Any, sampler: Sampler) -> None:
        """Raise ModelError for a sampler that changes how thoughts come about: here they are given.

        One that changes their weights, or adds to them, is what a thought is learned with.
        """
        super().check_sampler(model, sampler)
        if sampler.reading_varies:
            raise ModelError(
                f"objective {self.name} reads thoughts that are given, so the sampler "
                f"{sampler.name}, which changes how they are made, cannot be used. Use gumbel, "
                "dirichlet or noise."
            )

    @property
    def weights(self) -> Mapping[str, float]:
        """Of end marker and answer, and of the thoughts."""
        return {"text": 1.0, "thoughts": self.kl_weight}

    def generation(self, update: int, updates: int) -> Mapping[str, Any]:
        """Return of how many tokens a thought is mixed, and the most thoughts."""
        return {"mixture_size": self.thought_tokens, "max_latent_length": self.most_thoughts}

    def begin(self, examples: Sequence[Example], start: Mapping[str, str]) -> Mapping[str, str]:
        """Return the soft labels' digest; ModelError where they are of other weights or data."""
        if not self.soft_labels:
            return {}
        labels = read_soft_labels(self.soft_labels)
        labels.check(self.soft_labels, examples, start, self.thought_tokens)
        return {"labels": labels.digest}

    def longest(self, model: Any, tokenizer: Any, example: Example) -> int:
        """Return the positions of prompt, thoughts and answer."""
        row, _ = self._row(model, tokenizer, Turn(example, 0, 0, 0, 0))
        return len(row.prompt) + len(row.text)

    def collate(
        self, model: Any, tokenizer: Any, turns: Sequence[Turn], *, updates: int, seed: int
    ) -> Batch:
        """Return what `pad_batch` returns, and the labels of all thoughts.

        A text is a placeholder for each thought, the end marker, the answer and eos. `ids`
        i64[M, K] and `log_probs` f[M, K] are the labels, `indices` i64[M] where they stand among
        the B * A tokens of the texts, `before` i64[M] the states that predict them, among the
        B * (A + 1) states, and `shares` f[M] how much each counts in its example's mean.
        """
        made = [self._row(model, tokenizer, turn) for turn in turns]
        batch: Batch = dict(
            pad_batch([row for row, _ in made], pad=model.latent_tokens.pad, seed=seed)
        )
        width = batch["text"].shape[1]
        lengths = [len(labels.ids) for _, labels in made]
        indices = [(row, index) for row, count in enumerate(lengths) for index in range(count)]
        rows, within = torch.tensor(indices, dtype=torch.long).view(-1, 2).unbind(1)
        batch |= {
            "ids": torch.cat([labels.ids for _, labels in made]),
            "log_probs": torch.cat([labels.log_probs for _, labels in made]),
            "indices": rows * width + within,
            "before": rows * (width + 1) + within,
            "shares": 1 / torch.tensor(lengths, dtype=torch.float64)[rows],
        }
        counts = {"text": len(batch["targets"]), "thoughts": len(turns)}
        return batch | {"counts": {name: torch.tensor(count) for name, count in counts.items()}}

    def loss(
        self, model: Any, batch: Batch, sampler: Sampler, helpers: nn.ModuleDict
    ) -> Mapping[str, torch.Tensor]:
        """Return the summed cross-entropy, and each example's mean divergence, summed."""
        embed = model.get_input_embeddings()
        text = embed(batch["text"])
        starts = batch["mask"][:, : batch["prompt"].shape[1]].sum(dim=1)
        width, indices = batch["text"].shape[1], batch["indices"]
        rows = indices // width
        draw = Draw(batch["keys"][rows], starts[rows] + indices % width)
        labels = sampler.weigh(Mixture(batch["ids"], batch["log_probs"]), draw)
        fed = sampler.think(model, labels.embed(embed), draw)
        fed = text.flatten(0, 1).index_copy(0, indices, fed.to(text.dtype)).view_as(text)
        found = unroll(model, batch, text=fed, sampler=sampler)
        logits = model.get_output_embeddings()(found.states.flatten(0, 1)[batch["before"]])
        apart = divergence(labels, logits)
        return {
            "text": learned_loss(model, found.states, batch),
            "thoughts": (apart * batch["shares"].to(apart.dtype)).sum(),
        }

    def _row(self, model: Any, tokenizer: Any, turn: Turn) -> tuple[Sequences, Mixture]:
        """Return the tokens of an example, and the labels of its thoughts."""
        labels = self._labels(tokenizer, turn.example)
        count = len(labels.ids)
        if count > self.most_thoughts:
            raise ModelError(
                f"There are {count} thoughts for {turn.example.question[:60]!r}, and "
                f"most_thoughts is {self.most_thoughts}. Raise it, or leave the example out."
            )
        learned = [*boxed(model, tokenizer, turn.example), tokenizer.eos_token_id]
        prompt = model.encode_prompt(tokenizer, turn.example.question)
        thoughts = [model.latent_tokens.placeholder] * count
        return Sequences(prompt, [*thoughts, *learned], len(learned), turn.visit), labels

    def _labels(self, tokenizer: Any, example: Example) -> Mixture:
        if self.soft_labels:
            return read_soft_labels(self.soft_labels).of(example)
        ids = torch.tensor(encode(tokenizer, chain(example)))[:, None]
        return Mixture(ids, torch.zeros(ids.shape))


def chain(example: Example) -> str:
    """Return the steps, a line each."""
    return "".join(f"{step}\n" for step in example.steps)


def boxed(model: Any, tokenizer: Any, example: Example) -> list[int]:
    r"""Return the tokens of the end marker and of `\boxed{answer}`."""
    return [*model.latent_tokens.ending, *encode(tokenizer, rf"\boxed{{{example.answer}}}")]


def divergence(labels: Mixture, logits: torch.Tensor) -> torch.Tensor:
    """Return the Kullback-Leibler divergence of predicted distributions from labels, f[M].

    It is the sum of w (log w - log p) over the labels' tokens, in nats.

    Args:
        labels: of M thoughts.
        logits: f[M, V].
    """
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    predicted = logits.log_softmax(dim=-1).gather(-1, labels.ids)
    weights = labels.weights.to(predicted.dtype)
    return (torch.xlogy(weights, weights) - weights * predicted).sum(dim=-1)

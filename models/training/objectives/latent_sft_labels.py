"""Latent-SFT, stage 1: an encoder turns written chains into thoughts (arXiv 2510.15522)."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import nn
from torch.nn import functional

from ...backbones.mixture import Mixing, Mixture
from ...errors import ModelError
from ...fields import integer, real
from ...samplers import Sampler
from ..compression import (
    THOUGHT,
    Track,
    decoder_track,
    decoder_visible,
    encoder_track,
    pad_tracks,
    read_tracks,
)
from ..course import Example, Turn
from ..encoder import Encoder, group_loss
from ..soft_labels import SoftLabels
from .latent_sft import boxed, chain
from .protocol import Batch, Objective, encode

_TOGETHER = 64  # examples whose thoughts are made together


@dataclass(frozen=True, kw_only=True)
class LatentSFTLabels(Objective):
    """The model is the decoder: it writes each group of a chain from the thought before it.

    The encoder is a copy of the model, thrown away after it has made the thoughts of all examples:
    the soft labels of stage 2. It is trained alone first, then the decoder, then both.

    Attributes:
        compression_rate: tokens of a written chain that a thought stands for.
        soft_label_size: tokens that a thought is mixed of.
        encoder_updates: optimizer steps that train the encoder alone.
        decoder_updates: steps after these that train the decoder alone; the rest trains both.
        group_weight: of a term by which the encoder names its group's tokens, for a base that is
            too small to begin with thoughts of any use. 0 is Latent-SFT's own loss.
        chat_template: in which questions are asked, for a base that has none, in Jinja.
    """

    name: ClassVar[str] = "latent_sft_labels"
    backbone: ClassVar[str | None] = "latent_sft"

    compression_rate: int = integer(2, least=1)
    soft_label_size: int = integer(10, least=1)
    encoder_updates: int = integer(0, least=0)
    decoder_updates: int = integer(0, least=0)
    group_weight: float = real(0.0)
    chat_template: str = ""

    def check_sampler(self, model: Any, sampler: Sampler) -> None:
        """Raise ModelError for a sampler, and for more tokens to a thought than there are."""
        Mixing(mixture_size=self.soft_label_size).check(
            model.config.get_text_config().vocab_size, model.name_or_path
        )
        if type(sampler) is not Sampler:
            raise ModelError(
                f"objective {self.name} makes thoughts of written chains, and the sampler "
                f"{sampler.name} would blur them. Leave it out here, and use it with objective "
                "latent_sft, which learns to think them."
            )

    @property
    def weights(self) -> Mapping[str, float]:
        """Of what the decoder writes, and of the groups' tokens where they are named."""
        return {"text": 1.0} | ({"group": self.group_weight} if self.group_weight else {})

    def settle(self, model: Any) -> None:
        """Give the tokenizer the chat template, if the recipe has one."""
        if self.chat_template:
            model.tokenizer.chat_template = self.chat_template

    def helpers(self, model: Any) -> nn.ModuleDict:
        """Return the encoder, a copy of the model."""
        return nn.ModuleDict({"encoder": Encoder(model)})

    def stage_starts(self, updates: int) -> Sequence[int]:
        """Return where encoder, decoder and both begin."""
        starts = {0, self.encoder_updates, self.encoder_updates + self.decoder_updates}
        return sorted(start for start in starts if start < updates)

    def generation(self, update: int, updates: int) -> Mapping[str, Any]:
        """Return of how many tokens a thought is mixed."""
        return {"mixture_size": self.soft_label_size}

    def longest(self, model: Any, tokenizer: Any, example: Example) -> int:
        """Return the positions of encoder or decoder, whichever takes more."""
        return max(1 + max(one.positions) for one in self._tracks(model, tokenizer, example))

    def collate(
        self, model: Any, tokenizer: Any, turns: Sequence[Turn], *, updates: int, seed: int
    ) -> Batch:
        """Return the tracks of encoder and decoder, and what is learned.

        `encoder` and `decoder` are as `pad_tracks` returns them; both have their thoughts in the
        same order. `states` i64[K] are the decoder's states that predict `targets` i64[K].
        """
        update = turns[0].update
        phase = "encoder" if update < self.encoder_updates else "both"
        if 0 <= update - self.encoder_updates < self.decoder_updates:
            phase = "decoder"
        tracks = [self._tracks(model, tokenizer, turn.example) for turn in turns]
        encoder, decoder = (
            pad_tracks(rows, pad=model.latent_tokens.pad) for rows in zip(*tracks, strict=True)
        )
        targets = decoder["targets"].flatten()
        learned = (targets >= 0).nonzero().squeeze(1)
        return {
            "phase": phase,
            "encoder": encoder,
            "decoder": decoder,
            "states": learned,
            "targets": targets[learned],
            "counts": {
                "text": torch.tensor(len(learned)),
                "group": (encoder["kinds"] == THOUGHT).sum(),
            },
        }

    def loss(
        self, model: Any, batch: Batch, sampler: Sampler, helpers: nn.ModuleDict
    ) -> Mapping[str, torch.Tensor]:
        """Return the summed cross-entropy of the groups but the first, end marker and answer.

        And, where it has a weight, that of each group's tokens by the encoder: their mean, summed
        over thoughts.
        """
        phase = batch["phase"]
        again = any(getattr(one, "gradient_checkpointing", False) for one in model.modules())
        if again and phase != "both":
            raise ModelError(
                "gradient_checkpointing computes states again when all weights are trained, so "
                "encoder and decoder cannot be trained one after the other with it. Leave it out, "
                "or set encoder_updates and decoder_updates to 0."
            )
        fixed = {"encoder": model.parameters(), "decoder": helpers.parameters(), "both": ()}
        embed = model.get_input_embeddings()
        with _fixed(fixed[phase]):
            scores = helpers["encoder"](batch["encoder"], embed.weight)
            thoughts = self._mix(model, scores)
            track = batch["decoder"]
            inputs, thought = embed(track["tokens"]), track["kinds"] == THOUGHT
            mixed = thoughts.embed(lambda ids: embed(ids).detach())
            inputs = inputs.masked_scatter(thought.unsqueeze(-1), mixed.to(inputs.dtype))
            visible = decoder_visible(track["kinds"], track["groups"])
            states = read_tracks(model.base_model, inputs, track["positions"], visible)
            logits = model.get_output_embeddings()(states.flatten(0, 1)[batch["states"]])
            logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
            found = {"text": functional.cross_entropy(logits, batch["targets"], reduction="sum")}
            if self.group_weight:
                found["group"] = group_loss(scores, batch["encoder"])
            return found

    def _mix(self, model: Any, scores: torch.Tensor) -> Mixture:
        """Return the mixtures of scores f[J, V], without the token that would end thinking."""
        ending = torch.arange(scores.shape[1], device=scores.device) == model.latent_tokens.end
        mixing = Mixing(mixture_size=self.soft_label_size)
        return mixing.keep(scores.masked_fill(ending, -torch.inf))

    def soft_labels_of(
        self, model: Any, tokenizer: Any, examples: Sequence[Example], helpers: nn.ModuleDict
    ) -> SoftLabels:
        """Return the thoughts of all examples."""
        helpers.eval()
        tracks = [self._tracks(model, tokenizer, example)[0] for example in examples]
        order = sorted(range(len(tracks)), key=lambda number: len(tracks[number].tokens))
        found: dict[int, Mixture] = {}
        for start in range(0, len(order), _TOGETHER):
            part = order[start : start + _TOGETHER]
            padded = pad_tracks([tracks[one] for one in part], pad=model.latent_tokens.pad)
            track = {name: value.to(model.device) for name, value in padded.items()}
            with torch.no_grad():
                scores = helpers["encoder"](track, model.get_input_embeddings().weight)
            made = self._mix(model, scores)
            counts = (track["kinds"] == THOUGHT).sum(dim=1).tolist()
            parts = made.ids.cpu().split(counts), made.log_probs.cpu().split(counts)
            found |= {one: Mixture(*of) for one, *of in zip(part, *parts, strict=True)}
        thoughts = [found[number] for number in range(len(examples))]
        return SoftLabels.gather(examples, thoughts, self.compression_rate)

    def _tracks(self, model: Any, tokenizer: Any, example: Example) -> tuple[Track, Track]:
        """Return the encoder's and the decoder's track."""
        prompt = model.encode_prompt(tokenizer, example.question)
        steps = encode(tokenizer, chain(example))
        after = [*boxed(model, tokenizer, example), tokenizer.eos_token_id]
        rate, fill = self.compression_rate, model.latent_tokens.placeholder
        return (
            encoder_track(prompt, steps, rate, fill=fill),
            decoder_track(prompt, steps, after, rate, fill=fill),
        )


@contextmanager
def _fixed(weights: Iterable[nn.Parameter]) -> Iterator[None]:
    """Let no gradient reach some weights from what is computed within the context."""
    trained = [one for one in weights if one.requires_grad]
    for one in trained:
        one.requires_grad_(False)
    try:
        yield
    finally:
        for one in trained:
            one.requires_grad_(True)

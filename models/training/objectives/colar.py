"""CoLaR: steps compressed to fewer embeddings, at a speed drawn for each batch (2505.16552)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from torch import nn
from torch.nn import functional

from ...errors import ModelError
from ...fields import choice, integer, real
from ...samplers import Draw, Sampler, randomness
from ..batches import Sequences, pad_batch
from ..course import Example, Turn, addressed
from ..unroll import learned_loss, unroll
from .protocol import Batch, Objective, encode


@dataclass(frozen=True, kw_only=True)
class ColarObjective(Objective):
    """Reads groups of the steps' tokens as one embedding each, and learns to propose the next.

    A group's embedding is the sum of its tokens' over the square root of their number. The latent
    head's mean and variance are learned from it; the text loss asks, after each group, for a token
    of the next one, and after the last for the end marker: so the model learns to stop by itself.

    Attributes:
        max_speed: most tokens in a group; each batch draws 1 to so many.
        thinking_speed: at which the checkpoint thinks unless it is asked otherwise; at most
            `max_speed`.
        latent_loss: `mse`, of a value drawn with the head's mean and variance, or `nll`, minus the
            target's log-density.
        latent_weight: of the latent loss.
        latent_width: of the latent head.
    """

    name: ClassVar[str] = "colar"
    backbone: ClassVar[str | None] = "colar"

    max_speed: int = integer(5, least=1)
    thinking_speed: int = integer(2, least=1)
    latent_loss: str = choice("mse", "nll")
    latent_weight: float = real(1.0)
    latent_width: int = integer(2048, least=1)

    def check_sampler(self, model: Any, sampler: Sampler) -> None:
        """Raise ModelError for a sampler that draws thoughts from the head: here they are given."""
        try:
            sampler.check(_GIVEN)
        except ModelError as error:
            raise ModelError(
                f"objective {self.name} is taught by the steps' own embeddings, which no latent "
                f"head has proposed, so the sampler {sampler.name} has nothing to draw from. Use "
                "one that changes thoughts that are given, such as noise."
            ) from error
        super().check_sampler(model, sampler)

    @property
    def weights(self) -> Mapping[str, float]:
        """Of the text and of the latent head."""
        return {"text": 1.0, "latent": self.latent_weight}

    @property
    def own_modules(self) -> tuple[str, ...]:
        """The latent head."""
        return ("lt_head",)

    def config(self, base: Any) -> Mapping[str, Any]:
        """Return the head's width, and a speed that is learned; `settle` measures the spread."""
        return {
            "latent_intermediate_size": self.latent_width,
            "latent_distribution": True,
            "thinking_speed": min(self.thinking_speed, self.max_speed),
        }

    def settle(self, model: Any) -> None:
        """Measure the embeddings' spread, the unit of thoughts."""
        spread = float(model.get_input_embeddings().weight.detach().std())
        model.config.latent_embedding_std = spread

    def helpers(self, model: Any) -> nn.ModuleDict:
        """Return the variance of a head that has the mean alone, as released ones do."""
        if model.lt_head.log_std is not None:
            return nn.ModuleDict()
        size = model.config.get_text_config().hidden_size
        return nn.ModuleDict({"log_std": nn.Linear(self.latent_width, size)})

    def generation(self, update: int, updates: int) -> Mapping[str, Any]:
        """Return the most thoughts."""
        return {"max_latent_length": 64}

    def longest(self, model: Any, tokenizer: Any, example: Example) -> int:
        """Return the positions at speed 1."""
        row, _ = self._row(model, tokenizer, Turn(example, 0, 0, 0, 0), speed=1, seed=0)
        return len(row.prompt) + len(row.text)

    def collate(
        self, model: Any, tokenizer: Any, turns: Sequence[Turn], *, updates: int, seed: int
    ) -> Batch:
        """Return what `pad_batch` returns, and how tokens make thoughts.

        A text is a placeholder for each group, the end marker, the answer and eos: texts are padded
        on the right alone, so no padding is read as a thought. `tokens` i64[M] are the steps'
        tokens, `groups` i64[M] the positions of their groups among the B * A of the texts, and
        `shares` f[M] by what each is multiplied. `latents` i64[K] are the positions before which
        thoughts stand, among the B * (A + 1) states, and `next` i64[K] those of their targets.
        """
        speed = 1 + int(self.max_speed * addressed(seed, "speed", turns[0].batch))
        made = [self._row(model, tokenizer, turn, speed, seed) for turn in turns]
        rows = [row for row, _ in made]
        batch: Batch = dict(pad_batch(rows, pad=tokenizer.pad_token_id, seed=seed))
        width = batch["text"].shape[1]
        tokens, groups, shares, latents, following = [], [], [], [], []
        for number, (_, cut) in enumerate(made):
            for position, group in enumerate(cut):
                tokens += group
                groups += [number * width + position] * len(group)
                shares += [len(group) ** -0.5] * len(group)
            latents += [number * (width + 1) + position for position in range(len(cut) + 1)]
            following += [number * width + position for position in range(len(cut) + 1)]
        batch |= {
            "tokens": torch.tensor(tokens, dtype=torch.long),
            "groups": torch.tensor(groups, dtype=torch.long),
            "shares": torch.tensor(shares, dtype=torch.float64),
            "latents": torch.tensor(latents),
            "next": torch.tensor(following),
        }
        counts = {"text": len(batch["targets"]), "latent": len(latents)}
        return batch | {"counts": {name: torch.tensor(count) for name, count in counts.items()}}

    def loss(
        self, model: Any, batch: Batch, sampler: Sampler, helpers: nn.ModuleDict
    ) -> Mapping[str, torch.Tensor]:
        """Return the summed cross-entropy, and the latent loss summed over thoughts."""
        embed = model.get_input_embeddings()
        text = embed(batch["text"])
        shares = batch["shares"].to(text.dtype).unsqueeze(1)
        flat = text.flatten(0, 1)
        made = torch.zeros_like(flat).index_add(0, batch["groups"], embed(batch["tokens"]) * shares)
        thought = torch.zeros_like(flat[:, :1]).index_fill(0, batch["groups"], 1.0)
        flat = flat * (1 - thought) + made
        positions = batch["mask"][:, : batch["prompt"].shape[1]].sum(dim=1, keepdim=True)
        positions = positions + torch.arange(text.shape[1], device=text.device)
        keys = batch["keys"].unsqueeze(1).expand_as(positions)
        draw = Draw(keys.flatten(), positions.flatten())
        fed = sampler.think(_GIVEN, flat, draw).to(flat.dtype)
        fed = flat * (1 - thought) + fed * thought
        found = unroll(model, batch, text=fed.view_as(text), sampler=sampler)
        before = found.states.flatten(0, 1)[batch["latents"]]
        # The targets are what is read next; nothing is learned by moving them.
        wanted = flat.detach()[batch["next"]] / model.latent_embedding_std
        noise = randomness.normal(
            draw.keys[batch["next"]],
            draw.positions[batch["next"]],
            site=randomness.LATENT_SITE,
            size=wanted.shape[-1],
        ).to(wanted.dtype)
        log_std = model.lt_head.log_std or helpers["log_std"]
        return {
            "text": learned_loss(model, found.states, batch),
            "latent": self._latent(model.lt_head, log_std, before, wanted, noise),
        }

    def _latent(
        self,
        head: Any,
        log_std: nn.Module,
        states: torch.Tensor,
        wanted: torch.Tensor,
        noise: torch.Tensor,
    ) -> torch.Tensor:
        """Return the latent loss f[], a mean over dimensions, summed over thoughts."""
        inner = head.fc(states)
        mean, scale = head.mean(inner), log_std(inner)
        if self.latent_loss == "mse":
            drawn = mean + scale.exp() * noise
            return functional.mse_loss(drawn, wanted, reduction="none").mean(dim=-1).sum()
        density = -torch.distributions.Normal(mean, scale.exp()).log_prob(wanted)
        return density.mean(dim=-1).sum()

    def _row(
        self, model: Any, tokenizer: Any, turn: Turn, speed: int, seed: int
    ) -> tuple[Sequences, list[list[int]]]:
        """Return the tokens of an example, and its steps' in groups."""
        example = turn.example
        steps = encode(tokenizer, "\n".join(example.steps))
        groups = [steps[at : at + speed] for at in range(0, len(steps), speed)]
        end, eos = model.latent_tokens.end, tokenizer.eos_token_id
        # A group's label is one of its tokens; which one, is drawn at its address.
        labels = [
            group[int(len(group) * addressed(seed, f"label {turn.index}", position))]
            for position, group in enumerate(groups)
        ]
        answer = [*encode(tokenizer, "Answer:"), *encode(tokenizer, example.answer), eos]
        text = [*labels, end, *answer]
        # The prompt says the speed: under one that never changes, the first thought would be
        # learned as the mean of those of all speeds.
        prompt = model.encode_prompt(
            tokenizer, example.question, partial(model.format_prompt, speed=speed)
        )
        return Sequences(prompt, text, len(text), turn.visit), groups


class _Given:
    """A backbone whose thoughts are given: what a sampler does to them is done."""

    backbone = "colar"
    has_thought_spread = False
    mixing = None

    def next_thought(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return what is given."""
        return hidden


_GIVEN: Any = _Given()

"""One step of the engine: decide what every row is fed next, and let it read it.

Rows advance one position at a time, each in its own phase: a row that thinks is fed its next
thought, a row that answers its next token, and a row that is done leaves the batch. So a backbone
that chooses its number of thoughts needs nothing special, and no row waits for another.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch

from ..backbones.protocol import LatentBackbone
from ..errors import check_finite
from ..samplers import Draw, Reading, randomness
from ..settings import LatentSettings
from .attention import PASS, read_on, read_prompts
from .head import greedy_tokens, sampled_tokens
from .positions import position_limit
from .prompts import Prompts, pad_left
from .rows import Rows


@dataclass(frozen=True)
class Step:
    """What every row is fed next.

    Attributes:
        tokens: i64[R], a placeholder where a thought follows.
        thinks: bool[R], which rows think on.
        inputs: f[R, D], the input embeddings, thoughts among them.
    """

    tokens: torch.Tensor
    thinks: torch.Tensor
    inputs: torch.Tensor

    def select(self, chosen: torch.Tensor) -> "Step":
        """Return the step of the rows at `chosen`, i64[R'] or bool[R]."""
        return Step(self.tokens[chosen], self.thinks[chosen], self.inputs[chosen])


@contextmanager
def stepping(model: LatentBackbone, settings: LatentSettings) -> Iterator["Stepper"]:
    """Install the sampler in the model, which no other thread reads within the context."""
    with PASS, torch.no_grad(), settings.sampler.installed(model) as reading:
        yield Stepper(model, settings, reading)


class Stepper:
    """A backbone with its sampler installed: prefill, propose, feed."""

    def __init__(self, model: LatentBackbone, settings: LatentSettings, reading: Reading) -> None:
        """Prepare what is the same at every step."""
        self.model, self.settings = model, settings
        self._reading = reading
        self._tokens = model.latent_tokens
        self._eos = torch.tensor(self._tokens.eos, device=model.device)
        self._limit = position_limit(model)
        answers = settings.temperature if settings.do_sample else 0.0
        self._greedy = not answers and not settings.sampler.ending_temperature
        self._temperatures = torch.tensor(  # of answers, and of tokens that may end thinking
            [answers, settings.sampler.ending_temperature],
            dtype=torch.float64,
            device=model.device,
        )

    def keys(self, prompts: Sequence[Sequence[int]], samples: Sequence[int]) -> torch.Tensor:
        """Return the addresses i64[B, N] of the given samples of each prompt."""
        questions = [randomness.question_key(self.settings.seed, prompt) for prompt in prompts]
        device = self.model.device
        return randomness.sample_keys(
            torch.tensor(questions, device=device).unsqueeze(1),
            torch.tensor(samples, device=device),
        )

    def prefill(
        self, prompts: Sequence[Sequence[int]], keys: torch.Tensor
    ) -> tuple[torch.Tensor, Prompts]:
        """Read the prompts once, or N times where the sampler makes samples read differently.

        Args:
            prompts: B prompts' token ids.
            keys: i64[B, N], the rows' addresses.

        Returns:
            The last hidden states f[B, D] or f[B * N, D], and the prompts, for `Rows.begin`.

        Raises:
            ModelError: hidden states that are not finite.
        """
        device = self.model.device
        ids, mask = (tensor.to(device) for tensor in pad_left(prompts, self._tokens.pad))
        own = self.settings.sampler.prompt_varies
        if own:
            ids, mask = (each.repeat_interleave(keys.shape[1], dim=0) for each in (ids, mask))
            keys = keys.reshape(-1, 1)

        def before(part: slice, positions: torch.Tensor) -> None:
            rows = keys[part, 0]
            none = torch.zeros_like(rows, dtype=torch.bool)
            self._reading.address(rows, positions, None if own else none)

        hidden, read = read_prompts(self.model, ids, mask, before)
        check_finite(hidden, "hidden states", self.model)
        return hidden, read

    def read_thoughts(self, rows: Rows, thoughts: torch.Tensor) -> torch.Tensor:
        """Let rows that have read their prompts read given thoughts f[R, T, D], all at once.

        Only thoughts that others follow are given, and those are always read under the sampler.

        Returns:
            f[R, T, D], the last hidden state after each; the rows' cache grows by T.
        """
        steps = torch.arange(thoughts.shape[1], device=thoughts.device)
        positions = rows.position.unsqueeze(1) + steps
        self._reading.address(rows.keys, positions)
        return read_on(self.model, rows.cache, thoughts, positions)

    def propose(self, rows: Rows) -> Step:
        """Decide what each row is fed next, and change nothing."""
        tokens, thinks = self._choose(rows)
        inputs = self.model.get_input_embeddings()(tokens)
        if bool(thinks.any()):
            draw = Draw(rows.keys[thinks], rows.position[thinks])
            thoughts = self.settings.sampler.think(self.model, rows.hidden[thinks], draw)
            inputs[thinks] = thoughts.to(inputs.dtype)
        return Step(tokens, thinks, inputs)

    def ends(self, rows: Rows, step: Step) -> tuple[torch.Tensor, torch.Tensor]:
        """Return which rows the step ends, and which of them without end of sequence, bool[R]."""
        eos = torch.isin(step.tokens, self._eos)
        # Answer tokens that fit: into max_new_tokens, and into the model's positions.
        marker = rows.position - 1 - rows.tokens  # where the end marker stands
        most = torch.minimum(self.settings.max_new_tokens - rows.thoughts, self._limit - marker) - 1
        ended = ~rows.thinking & (eos | (rows.tokens + 1 >= most))
        return ended, ended & ~eos

    def feed(self, rows: Rows, step: Step) -> Rows:
        """Let every row read its next input, and return the rows after it.

        Raises:
            ModelError: hidden states that are not finite.
        """
        thoughts = rows.thoughts + step.thinks
        active = step.thinks
        if self.settings.latent_length is not None:
            active = active & (thoughts < self.settings.latent_length)
        if self.model.dropout_while_answering:
            active = torch.ones_like(active)
        positions = rows.position.unsqueeze(1)
        self._reading.address(rows.keys, positions, active)
        hidden = read_on(self.model, rows.cache, step.inputs.unsqueeze(1), positions)
        check_finite(hidden, "hidden states", self.model)
        return replace(
            rows,
            hidden=hidden[:, -1],
            position=rows.position + 1,
            thinking=step.thinks,
            thoughts=thoughts,
            tokens=rows.tokens + ~rows.thinking,
        )

    def _choose(self, rows: Rows) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the next tokens i64[R] and bool[R], which rows think on."""
        settings = self.settings
        thinks = rows.thinking & (rows.thoughts < settings.thought_limit)
        asks = ~rows.thinking | thinks if settings.latent_length is None else ~rows.thinking
        tokens = torch.full_like(rows.index, self._tokens.placeholder)
        if bool(asks.any()):
            tokens[asks] = self._next_tokens(rows, asks)
            thinks &= (tokens != self._tokens.end) | (rows.thoughts < self.model.least_thoughts)
        tokens = torch.where(thinks, self._tokens.placeholder, tokens)
        return torch.where(rows.thinking & ~thinks, self._tokens.end, tokens), thinks

    def _next_tokens(self, rows: Rows, asks: torch.Tensor) -> torch.Tensor:
        """Return the tokens that follow the hidden states of the rows that ask, bool[R]."""
        if self._greedy:
            return greedy_tokens(self.model, rows.hidden[asks])
        return sampled_tokens(
            self.model,
            rows.hidden[asks],
            rows.keys[asks],
            rows.position[asks],
            temperature=self._temperatures[rows.thinking[asks].long()],
        )

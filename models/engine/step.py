"""One step of the engine: decide what every row is fed next, and let it read it.

Rows advance one position at a time, each in its own phase: a row that thinks is fed its next
thought, a row that answers its next token, and a row that is done leaves the batch. So a backbone
that chooses its number of thoughts needs nothing special, and no row waits for another.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache

import torch

from ..backbones.protocol import LatentBackbone
from ..errors import check_finite
from ..samplers import Draw, Reading, randomness
from ..settings import LatentSettings
from .attention import PASS, read_on, read_prompts
from .fed import Step, Told
from .head import greedy_tokens, sampled_tokens
from .phases import Phases
from .prompts import Prompts, among, pad_left
from .rows import Rows


@contextmanager
def stepping(model: LatentBackbone, settings: LatentSettings) -> Iterator["Stepper"]:
    """Install the sampler in the model, which no other thread reads within the context."""
    with PASS, torch.no_grad(), settings.sampler.installed(model) as reading:
        yield Stepper(model, settings, reading)


@lru_cache(maxsize=64)
def _constants(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Return numbers as a tensor, which is made once: the host waits while one is."""
    return torch.tensor(values, dtype=dtype, device=device)


class Stepper:
    """A backbone with its sampler installed: prefill, propose, feed."""

    def __init__(self, model: LatentBackbone, settings: LatentSettings, reading: Reading) -> None:
        """Prepare what is the same at every step."""
        self.model, self.settings = model, settings
        self._reading = reading
        self._tokens = model.latent_tokens
        eos = _constants(self._tokens.eos, torch.long, model.device)
        self._phases = Phases(model, settings, eos)
        answers = settings.temperature if settings.do_sample else 0.0
        self._greedy = not answers and not settings.sampler.ending_temperature
        self._temperatures = _constants(  # of answers, and of tokens that may end thinking
            (answers, settings.sampler.ending_temperature), torch.float64, model.device
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
            (self._reading.address if own else self._reading.rest)(keys[part, 0], positions)

        hidden, read = read_prompts(self.model, ids, mask, before)
        finite = hidden.isfinite().all(dim=1)
        check_finite(finite.tolist(), "hidden states", self.model)
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

    def propose(self, rows: Rows) -> tuple[Step, Told]:
        """Decide what each row is fed next, and change nothing.

        Rows that end by it are not to be fed.

        Raises:
            ModelError: hidden states or logits that are not finite.
        """
        tokens, thinks, finite = self._choose(rows)
        ended, eos = self._phases.end(rows, tokens)
        thoughts = rows.thoughts + thinks
        told = Told.of(
            stays=~ended,
            index=rows.index,
            thoughts=rows.thoughts,
            tokens=tokens,
            answers=~rows.thinking,
            thinks=thinks,
            ended=ended,
            truncated=ended & ~eos,
            sampled=self._phases.sampled(thinks, thoughts),
            asking=self._phases.ask(thinks, thoughts) & ~ended,
            states=rows.hidden.isfinite().all(dim=1),
            logits=finite,
        )
        check_finite(told.states, "hidden states", self.model)
        check_finite(told.logits, "logits", self.model)
        inputs = self.model.get_input_embeddings()(tokens)
        count = sum(told.thinks)
        if count:
            chosen = among(thinks, count)
            draw = Draw(rows.keys[chosen], rows.position[chosen])
            found = self.settings.sampler.think(self.model, rows.hidden[chosen], draw)
            inputs[chosen] = found.to(inputs.dtype)
        return Step(tokens, thinks, inputs), told

    def feed(self, rows: Rows, step: Step, told: Told | None = None) -> Rows:
        """Let every row read its next input, and return the rows after it.

        Args:
            rows: those that do not end.
            step: what they are fed.
            told: what the host knows of it, if anything; rows that ended may be among it.
        """
        thoughts = rows.thoughts + step.thinks
        positions = rows.position.unsqueeze(1)
        if told is not None and not any(told.sampled):
            self._reading.rest(rows.keys, positions)
        else:
            self._reading.address(rows.keys, positions, self._phases.sampled(step.thinks, thoughts))
        hidden = read_on(self.model, rows.cache, step.inputs.unsqueeze(1), positions)
        return replace(
            rows,
            hidden=hidden[:, -1],
            position=rows.position + 1,
            thinking=step.thinks,
            thoughts=thoughts,
            tokens=rows.tokens + ~rows.thinking,
            asking=None if told is None else sum(told.asking),
        )

    def _choose(self, rows: Rows) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return the next tokens i64[R], which rows think on, and whose logits are finite."""
        thinks = rows.thinking & (rows.thoughts < self.settings.thought_limit)
        tokens = torch.full_like(rows.index, self._tokens.placeholder)
        finite = torch.ones_like(thinks)
        asks = self._phases.ask(rows.thinking, rows.thoughts)
        count = int(asks.sum()) if rows.asking is None else rows.asking
        if count:
            chosen = among(asks, count)
            tokens[chosen], finite[chosen] = self._next_tokens(rows, chosen)
            thinks &= (tokens != self._tokens.end) | (rows.thoughts < self.model.least_thoughts)
        tokens = torch.where(thinks, self._tokens.placeholder, tokens)
        return torch.where(rows.thinking & ~thinks, self._tokens.end, tokens), thinks, finite

    def _next_tokens(
        self, rows: Rows, chosen: torch.Tensor | slice
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the tokens after the hidden states of the chosen rows, and whose are finite."""
        if self._greedy:
            return greedy_tokens(self.model, rows.hidden[chosen])
        return sampled_tokens(
            self.model,
            rows.hidden[chosen],
            rows.keys[chosen],
            rows.position[chosen],
            temperature=self._temperatures[rows.thinking[chosen].long()],
        )

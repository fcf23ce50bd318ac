"""One step of the engine: decide what every row is fed next, and let it read it.

Rows advance one position at a time, each in its own phase: a row that thinks is fed its next
thought, a row that answers its next token, and a row that is done leaves the batch. So a backbone
that chooses its number of thoughts needs nothing special, and no row waits for another.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import torch

from ..backbones.protocol import LatentBackbone
from ..errors import check_finite
from ..samplers import Draw, Reading, randomness
from ..settings import LatentSettings
from .attention import PASS, decode, prefill
from .choose import Chooser
from .fed import Step, Told
from .phases import Phases, constants
from .prompts import Prompts, among, pad_left
from .rows import Rows


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
        eos = constants(self._tokens.eos, torch.long, model.device)
        self._phases = Phases(model, settings, eos)
        self._chooser = Chooser(model, settings, self._phases)

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

        hidden, read = prefill(self.model, ids, mask, before)
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
        return decode(self.model, rows.cache, thoughts, positions)

    def propose(self, rows: Rows) -> tuple[Step, Told]:
        """Decide what each row is fed next, and change nothing.

        Rows that end by it are not to be fed.

        Raises:
            ModelError: hidden states or logits that are not finite.
        """
        choice = self._chooser.choose(rows)
        tokens, thinks = choice.tokens, choice.thinks
        ended, eos = self._phases.end(rows, tokens, choice.aborted)
        thoughts, read = rows.thoughts + thinks, rows.tokens + ~rows.thinking
        told = Told.of(
            stays=~ended,
            index=rows.index,
            thoughts=rows.thoughts,
            tokens=tokens,
            answers=self._phases.answers(rows),
            thinks=thinks,
            ended=ended,
            truncated=ended & ~eos,
            sampled=self._phases.sampled(thinks, thoughts),
            asking=self._phases.ask(thinks, thoughts, read) & ~ended,
            states=rows.hidden.isfinite().all(dim=1),
            logits=choice.finite,
        )
        check_finite(told.states, "hidden states", self.model)
        check_finite(told.logits, "logits", self.model)
        inputs = self.model.get_input_embeddings()(tokens)
        count = sum(told.thinks)
        if count:
            chosen = among(thinks, count)
            draw = Draw(rows.keys[chosen], rows.position[chosen])
            hidden = rows.hidden[chosen]
            if choice.mixture is not None:
                embedding = self.model.get_input_embeddings()
                hidden = choice.mixture.select(chosen).embed(embedding)
            found = self.settings.sampler.think(self.model, hidden, draw)
            inputs[chosen] = found.to(inputs.dtype)
        return Step(tokens, thinks, inputs, choice.mixture, choice.cold), told

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
        hidden = decode(self.model, rows.cache, step.inputs.unsqueeze(1), positions)
        return replace(
            rows,
            hidden=hidden[:, -1],
            position=rows.position + 1,
            thinking=step.thinks,
            thoughts=thoughts,
            tokens=rows.tokens + ~rows.thinking,
            cold=rows.cold if step.cold is None else step.cold,
            asking=None if told is None else sum(told.asking),
        )

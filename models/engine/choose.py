"""What each row is fed next, and who ends its thinking: one product with the head decides it."""

from dataclasses import dataclass, replace

import torch

from ..backbones.mixture import Mixture
from ..backbones.protocol import LatentBackbone
from ..samplers import Draw
from ..settings import LatentSettings
from .head import greedy_tokens, sampled_tokens
from .mixed import Next, mixed_tokens
from .phases import Phases, constants
from .prompts import among
from .rows import Rows


@dataclass(frozen=True)
class Choice:
    """What is chosen for R rows.

    Attributes:
        tokens: i64[R], a placeholder where a thought follows.
        thinks: bool[R], which rows think on.
        finite: bool[R], whose logits are finite, where there are any.
        mixture: of what the next thoughts are mixed, where they are.
        cold: i64[R], for how many steps each has been certain, where that is counted.
        aborted: bool[R], whose answers end for that; none where it is not counted.
    """

    tokens: torch.Tensor
    thinks: torch.Tensor
    finite: torch.Tensor
    mixture: Mixture | None
    cold: torch.Tensor | None = None
    aborted: torch.Tensor | None = None


class Chooser:
    """A backbone's head, and the settings by which its tokens are chosen."""

    def __init__(self, model: LatentBackbone, settings: LatentSettings, phases: Phases) -> None:
        """Prepare what is the same at every step."""
        self._model, self._settings, self._phases = model, settings, phases
        answers = settings.temperature if settings.do_sample else 0.0
        ending = settings.sampler.ending_temperature
        self._greedy = not answers and not ending
        self._nucleus = (settings.top_k, settings.top_p)
        self._temperatures = constants(  # of answers, and of tokens that may end thinking
            (answers, ending), torch.float64, model.device
        )

    def choose(self, rows: Rows) -> Choice:
        """Choose for every row."""
        thinks = rows.thinking & (rows.thoughts < self._settings.thought_limit)
        tokens = torch.full_like(rows.index, self._model.latent_tokens.placeholder)
        choice = Choice(tokens, thinks, torch.ones_like(thinks), None)
        asks = self._phases.ask(rows.thinking, rows.thoughts, rows.tokens)
        count = int(asks.sum()) if rows.asking is None else rows.asking
        if count:
            choice = self._ask(rows, among(asks, count), choice)
        marked = self._phases.mark(rows, choice.thinks, choice.tokens)
        return replace(choice, tokens=marked)

    def _ask(self, rows: Rows, chosen: torch.Tensor | slice, choice: Choice) -> Choice:
        """Return the choice, for the rows at `chosen` as the head says."""
        found = self._next_tokens(rows, chosen)
        tokens, finite = choice.tokens, choice.finite
        tokens[chosen], finite[chosen] = found.tokens, found.finite
        thinks = choice.thinks & ~self._phases.stops(rows, tokens)
        mixture, cold, aborted = found.mixture, None, None
        if mixture is not None:
            mixture = Mixture.spread(mixture, chosen, len(rows))
        if found.certain is not None and self._settings.mixing is not None:
            certain = torch.zeros_like(rows.thinking)
            certain[chosen] = found.certain
            cold = torch.where(certain, rows.cold + 1, 0)
            stops = cold >= self._settings.mixing.certain_steps
            cold, thinks, aborted = torch.where(stops, 0, cold), thinks & ~stops, stops
        return Choice(tokens, thinks, finite, mixture, cold, aborted)

    def _next_tokens(self, rows: Rows, chosen: torch.Tensor | slice) -> Next:
        """Return what follows the hidden states of the chosen rows."""
        hidden, draw = rows.hidden[chosen], Draw(rows.keys[chosen], rows.position[chosen])
        thinking = rows.thinking[chosen]
        temperature = self._temperatures[thinking.long()]
        mixing = self._settings.mixing
        if mixing is not None:
            return mixed_tokens(
                self._model,
                hidden,
                draw,
                self._settings,
                mixing,
                thinking=thinking,
                temperature=temperature,
            )
        if self._greedy:
            return Next(*greedy_tokens(self._model, hidden))
        return Next(
            *sampled_tokens(
                self._model, hidden, draw, temperature=temperature, nucleus=self._nucleus
            )
        )

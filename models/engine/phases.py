"""In which phase rows are: who thinks on, ends, reads under the sampler, or needs a token."""

from functools import lru_cache

import torch

from ..backbones.protocol import LatentBackbone
from ..settings import LatentSettings
from .positions import position_limit
from .rows import Rows


@lru_cache(maxsize=64)
def constants(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Return numbers as a tensor, which is made once: the host waits while one is."""
    return torch.tensor(values, dtype=dtype, device=device)


class Phases:
    """What a backbone and settings say of rows by what they have read.

    A row that has ended its thinking is first fed the end marker's other tokens, where it has some.
    """

    def __init__(self, model: LatentBackbone, settings: LatentSettings, eos: torch.Tensor) -> None:
        """Take the ids of end of sequence, i64[E], beside the backbone and the settings."""
        self._model, self._settings, self._eos = model, settings, eos
        self._limit = position_limit(model)
        self._chooses = settings.latent_length is None
        after = model.latent_tokens.after_end
        self._marked = len(after)
        # One more, so that every row has an index.
        self._after = constants((*after, 0), torch.long, eos.device)

    def end(
        self, rows: Rows, tokens: torch.Tensor, aborted: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return which rows their tokens end, and which tokens are end of sequence, bool[R].

        Answers that are `aborted`, bool[R], end too.
        """
        eos = torch.isin(tokens, self._eos)
        # Answer tokens that fit: into max_new_tokens, and into the model's positions.
        marker = rows.position - 1 - rows.tokens  # where the end marker begins
        most = (
            torch.minimum(self._settings.max_new_tokens - rows.thoughts, self._limit - marker) - 1
        )
        last = eos | (rows.tokens + 1 >= most)
        return self.answers(rows) & (last if aborted is None else last | aborted), eos

    def answers(self, rows: Rows) -> torch.Tensor:
        """Return which rows write their answers, bool[R], the end marker behind them."""
        return ~rows.thinking & (rows.tokens >= self._marked)

    def stops(self, rows: Rows, tokens: torch.Tensor) -> torch.Tensor:
        """Return which rows that think their tokens i64[R] would end, bool[R]."""
        if not self._chooses:
            return torch.zeros_like(rows.thinking)
        end = self._model.latent_tokens.end
        return (tokens == end) & (rows.thoughts >= self._model.least_thoughts)

    def mark(self, rows: Rows, thinks: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """Return the tokens i64[R] that rows are fed, the end marker's among them.

        Args:
            rows: all of them.
            thinks: bool[R], which think on.
            tokens: i64[R], what those that answer write.
        """
        names = self._model.latent_tokens
        tokens = torch.where(thinks, names.placeholder, tokens)
        tokens = torch.where(rows.thinking & ~thinks, names.end, tokens)
        if not self._marked:
            return tokens
        marked = ~rows.thinking & (rows.tokens < self._marked)
        return torch.where(marked, self._after[rows.tokens.clamp(max=self._marked)], tokens)

    def sampled(self, thinks: torch.Tensor, thoughts: torch.Tensor) -> torch.Tensor:
        """Return which rows read under the sampler, bool[R], what makes them so many thoughts."""
        if self._model.dropout_while_answering:
            return torch.ones_like(thinks)
        length = self._settings.latent_length
        return thinks if length is None else thinks & (thoughts < length)

    def ask(
        self, thinking: torch.Tensor, thoughts: torch.Tensor, tokens: torch.Tensor
    ) -> torch.Tensor:
        """Return which rows need the head's next tokens, bool[R].

        That is to answer, to end thinking, or to mix a thought of them.

        Args:
            thinking: bool[R].
            thoughts: i64[R], that rows have read.
            tokens: i64[R], that they have read after the first of the end marker.
        """
        answers = ~thinking & (tokens >= self._marked) if self._marked else ~thinking
        if not self._chooses and self._model.mixing is None:
            return answers
        return answers | (thinking & (thoughts < self._settings.thought_limit))

"""In which phase rows are: which end, which read under the sampler, which need a token."""

import torch

from ..backbones.protocol import LatentBackbone
from ..settings import LatentSettings
from .positions import position_limit
from .rows import Rows


class Phases:
    """What a backbone and settings say of rows by what they have read."""

    def __init__(self, model: LatentBackbone, settings: LatentSettings, eos: torch.Tensor) -> None:
        """Take the ids of end of sequence, i64[E], beside the backbone and the settings."""
        self._model, self._settings, self._eos = model, settings, eos
        self._limit = position_limit(model)

    def end(self, rows: Rows, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return which rows their tokens end, and which tokens are end of sequence, bool[R]."""
        eos = torch.isin(tokens, self._eos)
        # Answer tokens that fit: into max_new_tokens, and into the model's positions.
        marker = rows.position - 1 - rows.tokens  # where the end marker stands
        most = (
            torch.minimum(self._settings.max_new_tokens - rows.thoughts, self._limit - marker) - 1
        )
        ended = ~rows.thinking & (eos | (rows.tokens + 1 >= most))
        return ended, eos

    def sampled(self, thinks: torch.Tensor, thoughts: torch.Tensor) -> torch.Tensor:
        """Return which rows read under the sampler, bool[R], what makes them so many thoughts."""
        if self._model.dropout_while_answering:
            return torch.ones_like(thinks)
        length = self._settings.latent_length
        return thinks if length is None else thinks & (thoughts < length)

    def ask(self, thinking: torch.Tensor, thoughts: torch.Tensor) -> torch.Tensor:
        """Return which rows need the head's next token, bool[R]: to answer, or to end thinking."""
        if self._settings.latent_length is not None:
            return ~thinking
        return ~thinking | (thoughts < self._settings.thought_limit)

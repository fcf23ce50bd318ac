"""Reading thoughts by a reward model, after prompts that are read once."""

from copy import copy
from typing import Protocol

import torch
from torch import nn

from ..models.backbones.protocol import Readable
from ..models.engine.attention import decode, prefill
from ..models.engine.budget import in_parts
from ..models.engine.cache import Group, RowCache
from ..models.engine.trial import check_model

_THOUGHTS = 4096  # read at once: more gain no speed, and their activations fill memory


class Scores(Readable, Protocol):
    """What thoughts are read by: a trunk and a head.

    Attributes:
        classifier: from the hidden size to 1.
    """

    classifier: nn.Linear


class RewardReader:
    """What a reward model has read of each row: a prompt, then thoughts, a few at a time."""

    def __init__(
        self,
        model: Scores,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
    ) -> None:
        """Read the prompts i64[B, P], padded on the left; B rows to begin with."""
        check_model(model)
        self._model = model
        input_ids = input_ids.to(model.device)
        if attention_mask is None:
            attention_mask = torch.ones_like(input_ids)
        _, prompts = prefill(model, input_ids, attention_mask.to(model.device))
        self._position = prompts.lengths.unsqueeze(1)
        self._cache = RowCache(Group(prompts, torch.arange(len(input_ids), device=model.device)))

    def select(self, rows: torch.Tensor) -> None:
        """Go on with the rows at the indices i64[R], of which some may repeat."""
        self._cache = self._cache.select(rows)
        self._position = self._position[rows]

    def read_of(self, rows: torch.Tensor, thoughts: torch.Tensor) -> torch.Tensor:
        """Return the r_t f32[R, S] of thoughts f[R, S, D] after the rows at i64[R].

        Some rows at a time where no gradient is kept, and fewer where memory runs out. Nothing that
        is read is kept: later calls start from the same rows.
        """

        def read(part: slice) -> torch.Tensor:
            reader = copy(self)
            reader.select(rows[part])
            return reader.read(thoughts[part])

        if torch.is_grad_enabled():
            return read(slice(None))
        most = _THOUGHTS // thoughts.shape[1]
        parts = in_parts(len(rows), most, read, what="trajectories")
        return torch.cat([found for _, found in parts])

    def read(self, thoughts: torch.Tensor) -> torch.Tensor:
        """Read the next thoughts f[R, S, D] of every row and return their r_t, f32[R, S]."""
        count = thoughts.shape[1]
        positions = self._position + torch.arange(count, device=self._position.device)
        self._position = self._position + count
        hidden = decode(self._model, self._cache, thoughts, positions)
        return self._model.classifier(hidden).squeeze(-1).float()

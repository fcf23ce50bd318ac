"""What the engine works on: the rows in the batch, and the record of what they produced."""

from dataclasses import dataclass
from typing import Any

import torch
from transformers import DynamicCache
from transformers.utils import ModelOutput

from .config import LatentSettings


@dataclass
class LatentGenerateOutput(ModelOutput):
    """What `generate` returns; rows are question-major.

    Attributes:
        sequences: i64[B * N, L], prompt, a placeholder for each thought, end marker, answer; padded
            on the right.
        latent_thoughts: f[B * N, T, D], the input embeddings that were fed as thoughts, zero beyond
            a row's length.
        latent_lengths: i64[B * N], thoughts of each row.
        answer_lengths: i64[B * N], answer tokens of each row, the end-of-sequence token included.
        truncated: bool[B * N], whether the answer was cut off before its end.
    """

    sequences: torch.Tensor | None = None
    latent_thoughts: torch.Tensor | None = None
    latent_lengths: torch.Tensor | None = None
    answer_lengths: torch.Tensor | None = None
    truncated: torch.Tensor | None = None

    def answer_ids(self) -> list[list[int]]:
        """Return each row's answer tokens, without the end-of-sequence token."""
        sequences, starts, counts, cut = (
            torch.as_tensor(field).tolist()
            for field in (self.sequences, self.latent_lengths, self.answer_lengths, self.truncated)
        )
        new = max(start + 1 + count for start, count in zip(starts, counts, strict=True))
        rows = []
        for ids, start, count, is_cut in zip(sequences, starts, counts, cut, strict=True):
            first = len(ids) - new + start + 1  # after the end marker
            rows.append(ids[first : first + count - (not is_cut)])
        return rows


@dataclass
class Rows:
    """The rows still in the batch.

    Attributes:
        index: i64[R], each row's place in the output.
        keys: i64[R], its address.
        hidden: f[R, D], last hidden state at its last position.
        mask: i64[R, S], which cached positions are attended to.
        position: i64[R], the position its next input gets.
        thinking: bool[R].
        thoughts: i64[R], thoughts fed so far.
        tokens: i64[R], answer tokens so far.
        room: i64[R], most answer tokens.
        cache: keys and values of the S positions.
    """

    index: torch.Tensor
    keys: torch.Tensor
    hidden: torch.Tensor
    mask: torch.Tensor
    position: torch.Tensor
    thinking: torch.Tensor
    thoughts: torch.Tensor
    tokens: torch.Tensor
    room: torch.Tensor
    cache: DynamicCache

    def select(self, keep: torch.Tensor) -> "Rows":
        """Return the rows at the indices `keep` i64[K]; the cache is cut in place."""
        self.cache.batch_select_indices(keep)
        return Rows(**self._tensors(keep), cache=self.cache)

    def copy(self, chosen: torch.Tensor, *, width: int | None = None) -> "Rows":
        """Return new rows at the indices `chosen` i64[K], with the first `width` cached positions.

        All positions if `width` is None.
        """
        cache = DynamicCache()
        layers: Any = self.cache.layers
        for place, layer in enumerate(layers):
            cache.update(layer.keys[chosen, :, :width], layer.values[chosen, :, :width], place)
        tensors = self._tensors(chosen)
        tensors["mask"] = tensors["mask"][:, :width]
        return Rows(**tensors, cache=cache)

    def _tensors(self, chosen: torch.Tensor) -> dict[str, torch.Tensor]:
        return {name: value[chosen] for name, value in vars(self).items() if name != "cache"}


@dataclass
class Record:
    """Everything the rows have produced, by place in the output.

    Attributes:
        tokens: i64[R, max_new_tokens], placeholders, end markers and answer tokens.
        thoughts: f[R, T, D].
        latent_lengths: i64[R].
        answer_lengths: i64[R].
        truncated: bool[R].
    """

    tokens: torch.Tensor
    thoughts: torch.Tensor
    latent_lengths: torch.Tensor
    answer_lengths: torch.Tensor
    truncated: torch.Tensor

    @classmethod
    def empty(cls, hidden: torch.Tensor, settings: LatentSettings, *, pad: int) -> "Record":
        """Return room for the trajectories of rows like `hidden` f[R, D]."""
        count, width = hidden.shape
        counts = torch.zeros(count, dtype=torch.long, device=hidden.device)
        return cls(
            tokens=counts.new_full((count, settings.max_new_tokens), pad),
            thoughts=hidden.new_zeros((count, settings.thought_limit, width)),
            latent_lengths=counts,
            answer_lengths=counts.clone(),
            truncated=counts.bool(),
        )

    def finish(self, rows: Rows, finished: torch.Tensor, *, truncated: torch.Tensor) -> None:
        """Note the lengths of the rows that are done, bool[R], and whether they were cut off."""
        places = rows.index[finished]
        self.latent_lengths[places] = rows.thoughts[finished]
        self.answer_lengths[places] = rows.tokens[finished]
        self.truncated[places] = truncated[finished]

    def output(self, prompts: torch.Tensor) -> LatentGenerateOutput:
        """Return the trajectories after their prompts i64[R, P], cut to the longest."""
        new = int((self.latent_lengths + 1 + self.answer_lengths).max())
        longest = int(self.latent_lengths.max())
        return LatentGenerateOutput(
            sequences=torch.cat((prompts, self.tokens[:, :new]), dim=1),
            latent_thoughts=self.thoughts[:, :longest],
            latent_lengths=self.latent_lengths,
            answer_lengths=self.answer_lengths,
            truncated=self.truncated,
        )

"""What the engine works on: the rows in the batch, and the record of what they produced."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers.utils import ModelOutput

from .cache import Group, RowCache
from .config import LatentSettings
from .positions import position_limit
from .prompts import Prompts


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
        index: i64[R], each row's place in the record.
        keys: i64[R], its address.
        hidden: f[R, D], last hidden state at its last position.
        position: i64[R], the position its next input gets.
        thinking: bool[R].
        thoughts: i64[R], thoughts fed so far.
        tokens: i64[R], answer tokens so far.
        room: i64[R], most answer tokens.
        chosen: i64[R], the next token where it is known already, else -1.
        trust: i64[R], how many tokens of its answer were lately drafted well.
        cache: keys and values of what it has read.
    """

    index: torch.Tensor
    keys: torch.Tensor
    hidden: torch.Tensor
    position: torch.Tensor
    thinking: torch.Tensor
    thoughts: torch.Tensor
    tokens: torch.Tensor
    room: torch.Tensor
    chosen: torch.Tensor
    trust: torch.Tensor
    cache: RowCache

    def __len__(self) -> int:
        return len(self.index)

    @property
    def fed(self) -> torch.Tensor:
        """i64[R], inputs since the prompt: thoughts, the end marker, and answer tokens."""
        return self.thoughts + ~self.thinking + self.tokens

    @classmethod
    def begin(cls, hidden: torch.Tensor, prompts: Prompts, keys: torch.Tensor) -> "Rows":
        """Return rows that have read their prompts.

        Args:
            hidden: f[B, D] after each of B prompts, or f[B * N, D] where each row reads its own.
            prompts: as many.
            keys: i64[B, N], the rows' addresses.
        """
        flat = keys.flatten()
        everyone = torch.arange(len(flat), device=keys.device)
        owners = everyone.div(len(flat) // len(prompts), rounding_mode="floor")
        zeros = torch.zeros_like(flat)
        return cls(
            index=everyone,
            keys=flat,
            hidden=hidden[owners],
            position=prompts.lengths[owners],
            thinking=torch.ones_like(flat, dtype=torch.bool),
            thoughts=zeros,
            tokens=zeros,
            room=zeros,
            chosen=zeros - 1,
            trust=zeros,
            cache=RowCache(Group(prompts, owners)),
        )

    @classmethod
    def join(cls, first: "Rows", second: "Rows") -> "Rows":
        """Return the rows of both, whose groups stay apart."""
        tensors = {
            name: torch.cat((value, getattr(second, name)))
            for name, value in vars(first).items()
            if name != "cache"
        }
        return cls(**tensors, cache=RowCache(*first.cache.groups, *second.cache.groups))

    def select(self, chosen: torch.Tensor, *, length: int | None = None) -> "Rows":
        """Return new rows at the indices `chosen` i64[R'], which may repeat, of one group.

        Args:
            chosen: i64[R'].
            length: positions after the prompt to keep in the cache; all if None.
        """
        return Rows(**self._tensors(chosen), cache=self.cache.select(chosen, length=length))

    def leave(self, stays: torch.Tensor) -> None:
        """Let the rows leave that do not stay, bool[R]."""
        self.cache.leave(stays)
        for name, value in self._tensors(stays).items():
            setattr(self, name, value)

    def _tensors(self, chosen: torch.Tensor) -> dict[str, torch.Tensor]:
        return {name: value[chosen] for name, value in vars(self).items() if name != "cache"}


@dataclass
class Record:
    """Everything the rows have produced, by place.

    Attributes:
        tokens: i64[R, L], placeholders, end markers and answer tokens.
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
    def empty(
        cls, model: Any, settings: LatentSettings, count: int, *, shortest: int = 1
    ) -> "Record":
        """Return room for trajectories.

        Args:
            model: the backbone.
            settings: most thoughts and tokens.
            count: R.
            shortest: tokens of the shortest prompt; those after it are bounded by the positions.
        """
        counts = torch.zeros(count, dtype=torch.long, device=model.device)
        width = min(settings.max_new_tokens, position_limit(model) - shortest)
        thoughts = torch.zeros(
            (count, settings.thought_limit, model.config.hidden_size),
            dtype=model.dtype,
            device=model.device,
        )
        return cls(
            tokens=counts.new_full((count, width), model.latent_tokens.pad),
            thoughts=thoughts,
            latent_lengths=counts,
            answer_lengths=counts.clone(),
            truncated=counts.bool(),
        )

    @classmethod
    def join(cls, records: Sequence["Record"]) -> "Record":
        """Return the rows of all."""
        return cls(
            **{
                name: torch.cat([getattr(record, name) for record in records])
                for name in vars(records[0])
            }
        )

    def read(self, part: slice) -> "Record":
        """Return a copy of some rows."""
        return Record(**{name: value[part].clone() for name, value in vars(self).items()})

    def write(self, part: slice, other: "Record") -> None:
        """Replace some rows."""
        for name, value in vars(self).items():
            value[part] = getattr(other, name)

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

"""What `generate` returns."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from transformers.utils import ModelOutput

from .backbones.protocol import LatentBackbone
from .trajectory import Trajectory


@dataclass
class LatentGenerateOutput(ModelOutput):
    """What `generate` returns; rows are question-major.

    Attributes:
        sequences: i64[B * N, L], prompt, a placeholder for each thought, end marker, answer; padded
            on the right.
        latent_thoughts: f[B * N, T, D], the input embeddings that were fed as thoughts, zero beyond
            a row's length.
        latent_lengths: i64[B * N], thoughts of each row.
        marker_lengths: i64[B * N], tokens of the end marker.
        answer_lengths: i64[B * N], answer tokens of each row, the end-of-sequence token included.
        truncated: bool[B * N], whether the answer was cut off before its end.
    """

    sequences: torch.Tensor | None = None
    latent_thoughts: torch.Tensor | None = None
    latent_lengths: torch.Tensor | None = None
    marker_lengths: torch.Tensor | None = None
    answer_lengths: torch.Tensor | None = None
    truncated: torch.Tensor | None = None

    @classmethod
    def of(
        cls, trajectories: Sequence[Trajectory], input_ids: torch.Tensor, model: LatentBackbone
    ) -> "LatentGenerateOutput":
        """Return the trajectories, padded, after the prompts i64[R, P] that they come from."""
        tokens = model.latent_tokens
        new = [
            [tokens.placeholder] * len(one.thoughts) + [*tokens.ending, *one.answer_ids]
            for one in trajectories
        ]
        width = max(map(len, new))
        padded = torch.tensor([ids + [tokens.pad] * (width - len(ids)) for ids in new])
        thoughts = torch.nn.utils.rnn.pad_sequence(
            [one.thoughts for one in trajectories], batch_first=True
        )
        device = input_ids.device
        return cls(
            sequences=torch.cat((input_ids, padded.to(device)), dim=1),
            latent_thoughts=thoughts,
            latent_lengths=torch.tensor([len(one.thoughts) for one in trajectories], device=device),
            marker_lengths=torch.full((len(new),), len(tokens.ending), device=device),
            answer_lengths=torch.tensor(
                [len(one.answer_ids) for one in trajectories], device=device
            ),
            truncated=torch.tensor([one.truncated for one in trajectories], device=device),
        )

    def answer_ids(self) -> list[list[int]]:
        """Return each row's answer tokens, without the end-of-sequence token."""
        sequences, thoughts, markers, counts, cut = (
            torch.as_tensor(field).tolist()
            for field in (
                *(self.sequences, self.latent_lengths, self.marker_lengths),
                *(self.answer_lengths, self.truncated),
            )
        )
        starts = [sum(pair) for pair in zip(thoughts, markers, strict=True)]
        new = max(start + count for start, count in zip(starts, counts, strict=True))
        rows = []
        for ids, start, count, is_cut in zip(sequences, starts, counts, cut, strict=True):
            first = len(ids) - new + start  # after the end marker
            rows.append(ids[first : first + count - (not is_cut)])
        return rows

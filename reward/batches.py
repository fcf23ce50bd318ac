"""From labelled questions to batches."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from ..models.engine.prompts import pad_left
from .errors import RewardError
from .labels import LabelledQuestion, stacked


@dataclass(frozen=True)
class RewardCollator:
    """Makes a batch of questions; all must have the same number of trajectories.

    Attributes:
        pad: token id that fills prompts on the left.
    """

    pad: int

    def __call__(self, entries: Sequence[LabelledQuestion]) -> dict[str, torch.Tensor]:
        """Return the inputs of `score`, labels f32[B, N, T] and right bool[B, N]."""
        input_ids, mask = pad_left([entry.prompt for entry in entries], self.pad)
        return {
            "input_ids": input_ids,
            "attention_mask": mask,
            "latent_thoughts": stacked([entry.thoughts for entry in entries]),
            "lengths": torch.stack([entry.lengths for entry in entries]),
            "labels": stacked([entry.labels for entry in entries]),
            "right": torch.stack([entry.right for entry in entries]),
        }


def training_questions(
    entries: Sequence[LabelledQuestion], *, labels: str
) -> list[LabelledQuestion]:
    """Leave out questions all right or all wrong, which teach no preference; choose the labels.

    Raises:
        RewardError: none is left, or their numbers of trajectories differ.
    """
    kept = [entry for entry in entries if entry.right.any() and not entry.right.all()]
    if not kept:
        raise RewardError(
            f"Each of the {len(entries)} questions has only right or only wrong trajectories: "
            "nothing can be learned. Annotate more or harder questions, or with a stronger sampler."
        )
    check_counts(kept)
    if labels == "rollouts":
        return kept
    return [replace(entry, labels=_own_labels(entry)) for entry in kept]


def _own_labels(entry: LabelledQuestion) -> torch.Tensor:
    there = torch.arange(entry.labels.shape[1]) < entry.lengths.unsqueeze(1)
    return (entry.right.unsqueeze(1) & there).float()


def check_counts(entries: Sequence[LabelledQuestion]) -> None:
    """Raise RewardError for questions with different numbers of trajectories."""
    counts = {len(entry.right) for entry in entries}
    if len(counts) > 1:
        raise RewardError(
            f"Questions with {' and '.join(map(str, sorted(counts)))} trajectories cannot be "
            "mixed: annotate all with the same --trajectories."
        )

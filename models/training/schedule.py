"""The learning rate over stages, and the optimizer that forgets between them."""

import math
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments


def stage_schedule(
    optimizer: torch.optim.Optimizer,
    starts: Sequence[int],
    updates: int,
    warmup: float,
    least: float,
) -> torch.optim.lr_scheduler.LambdaLR:
    """Return a schedule that in every stage rises from zero and falls by a cosine.

    Args:
        optimizer: whose rates are the peaks.
        starts: first update of each stage, 0 among them.
        updates: of the whole training.
        warmup: share of a stage's updates in which the rate rises.
        least: share of the peak that it falls to.
    """

    def rate(update: int) -> float:
        stage = bisect_right(starts, update) - 1
        end = starts[stage + 1] if stage + 1 < len(starts) else updates
        length = max(1, end - starts[stage])
        done, rising = update - starts[stage], math.ceil(warmup * length)
        if done < rising:
            return (done + 1) / (rising + 1)
        share = min(1.0, (done - rising) / max(1, length - rising))
        return least + (1 - least) * 0.5 * (1 + math.cos(math.pi * share))

    return torch.optim.lr_scheduler.LambdaLR(optimizer, rate)


class ResetAtStages(TrainerCallback):
    """Makes the optimizer forget its moments where a stage begins."""

    def __init__(self, starts: Sequence[int]) -> None:
        """Keep where stages begin."""
        self._starts = frozenset(starts) - {0}

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Forget; a run that goes on right here does so again, with the same outcome."""
        if state.global_step in self._starts:
            optimizer = kwargs["optimizer"]
            getattr(optimizer, "optimizer", optimizer).state.clear()

"""transformers' Trainer for reward models, and the metric that selects them."""

from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import (
    EvalPrediction,
    ProgressCallback,
    Trainer,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from .losses import LOSSES

METRIC = "recall@1"


class Progress(ProgressCallback):
    """A progress bar, and a sentence where the Trainer would write a dict."""

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        """Write the loss, or what was measured on the held-out pools."""
        found = {name.removeprefix("eval_"): value for name, value in (logs or {}).items()}
        names = [METRIC, "pass@1", "coverage"] if METRIC in found else ["loss"]
        told = ", ".join(f"{name} {found[name]:.4f}" for name in names if name in found)
        if told and self.training_bar is not None:
            self.training_bar.write(f"Epoch {found.get('epoch', 0.0):g}: {told}.")


class RewardTrainer(Trainer):
    """transformers' Trainer with a loss of `LOSSES`, measured by recall@1."""

    def __init__(self, *, loss: str, **kwargs: Any) -> None:
        """Keep the loss."""
        super().__init__(compute_metrics=recall_at_1, **kwargs)
        if not self.args.disable_tqdm:
            self.remove_callback(ProgressCallback)
            self.add_callback(Progress)
        self.loss = LOSSES[loss]

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        """Return the loss of one batch, and the rewards f32[B, N, T] where they are asked for."""
        given = {k: v for k, v in inputs.items() if k not in ("labels", "right")}
        rewards = model(**given)
        loss = self.loss(rewards, inputs["labels"], inputs["lengths"])
        return (loss, rewards) if return_outputs else loss

    def prediction_step(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        prediction_loss_only: bool,
        ignore_keys: list[str] | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return the loss, trajectories' scores f32[B, N] and whether they are right."""
        inputs = self._prepare_inputs(inputs)
        with torch.no_grad():
            loss, rewards = self.compute_loss(model, inputs, return_outputs=True)
        return loss.detach(), rewards.sum(dim=-1), inputs["right"]


def recall_at_1(prediction: EvalPrediction) -> dict[str, float]:
    """Return how often the trajectory of the highest score is right, and what it lies between.

    The score is sum_t r_t. NaN never wins, and where all are NaN nothing is chosen; of equal scores
    the earliest wins.

    Args:
        prediction: scores f32[Q, N] and whether each trajectory is right, bool[Q, N].
    """
    scores, right = np.asarray(prediction.predictions), np.asarray(prediction.label_ids, dtype=bool)
    best = np.where(np.isnan(scores), -np.inf, scores).argmax(axis=1)
    chosen = right[np.arange(len(right)), best] & ~np.isnan(scores).all(axis=1)
    return {
        METRIC: float(chosen.mean()),
        "pass@1": float(right.mean()),
        "coverage": float(right.any(axis=1).mean()),
    }

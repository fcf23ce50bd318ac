"""transformers' Trainer with an objective's loss, our measurements and small checkpoints."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import Trainer

from ..samplers import Sampler
from .objectives import Objective
from .objectives.protocol import Batch
from .plan import Plan
from .schedule import ResetAtStages, stage_schedule

WEIGHTS = "trained.safetensors"
"""Of a checkpoint: the weights that are trained, whatever else the model has."""
PARTS = (WEIGHTS, "optimizer.pt", "scheduler.pt")

Measure = Callable[[Mapping[str, Any]], Mapping[str, float]]
"""Measures the model with the generation settings of an update."""


class Learner(nn.Module):
    """A model with its objective: the forward pass is the loss, so that wrappers see all of it."""

    def __init__(self, model: Any, objective: Objective, sampler: Sampler) -> None:
        """Keep what the loss depends on.

        Raises:
            ModelError: the sampler is none for this objective and model.
        """
        super().__init__()
        objective.check_sampler(model, sampler)
        self.model, self.objective, self.sampler = model, objective, sampler
        self.helpers = objective.helpers(model).to(model.device)

    def forward(self, batch: Batch) -> Mapping[str, torch.Tensor]:
        """Return each term's sum over the batch."""
        return self.objective.loss(self.model, batch, self.sampler, self.helpers)

    def trained(self) -> dict[str, nn.Parameter]:
        """Return the weights that are trained, each once."""
        return {name: one for name, one in self.named_parameters() if one.requires_grad}


class OneTrainer(Trainer):
    """transformers' Trainer that measures by our engine and keeps what is trained alone.

    `_load_from_checkpoint` is private to transformers; it is the only such method here.
    """

    def __init__(self, *, measure: Measure | None, plan: Plan, **kwargs: Any) -> None:
        """Keep how the model is measured."""
        super().__init__(**kwargs)
        self.loss_is_scaled_for_ga = True  # by the counts of the whole update
        self._measure, self._plan = measure, plan
        learner: Any = self.model
        starts = learner.objective.stage_starts(self.args.max_steps)
        self._starts = starts
        self.add_callback(ResetAtStages(starts))
        self._totals: dict[str, torch.Tensor] = {}
        self._sums: dict[str, list[torch.Tensor]] = {}
        self._began = time.monotonic()
        self._before: float | None = None

    def create_scheduler(
        self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None
    ) -> torch.optim.lr_scheduler.LRScheduler:
        """Return a schedule that begins anew at every stage."""
        if self.lr_scheduler is None:
            chosen: Any = optimizer or self.optimizer
            self.lr_scheduler = stage_schedule(
                chosen, self._starts, num_training_steps, self._plan.warmup, self._plan.least_rate
            )
            self._created_lr_scheduler = True
        return self.lr_scheduler

    def get_batch_samples(
        self, epoch_iterator: Any, num_batches: int, device: torch.device
    ) -> tuple[list[Any], None]:
        """Return an update's batches, and count by what their sums are divided."""
        batches, _ = super().get_batch_samples(epoch_iterator, num_batches, device)
        learner: Any = self.accelerator.unwrap_model(self.model)
        for name in learner.objective.weights:
            total = sum(batch["batch"]["counts"][name].to(device) for batch in batches)
            self._totals[name] = self.accelerator.reduce(torch.as_tensor(total), "sum").clamp(min=1)
        return batches, None

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        """Return a batch's share of the update's loss."""
        learner: Any = self.accelerator.unwrap_model(model)
        # Gradients of several processes are averaged, sums are not.
        terms = {
            name: value * self.accelerator.num_processes / self._totals[name]
            for name, value in model(**inputs).items()
        }
        for name, value in terms.items():
            self._sums.setdefault(name, []).append(value.detach())
        weights = learner.objective.weights
        loss = torch.stack([weights[name] * value for name, value in terms.items()]).sum()
        return (loss, {}) if return_outputs else loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log each term of the loss beside the loss, where there are several."""
        if "loss" in logs and len(self._sums) > 1:
            updates = max(1, len(next(iter(self._sums.values()))) // self._plan.accumulate)
            for name, values in self._sums.items():
                logs[f"loss_{name}"] = round(float(torch.stack(values).sum()) / updates, 4)
        if "loss" in logs:
            self._sums.clear()
        logs["minutes"] = round(self._minutes_before() + (time.monotonic() - self._began) / 60, 3)
        super().log(logs, start_time)

    def _minutes_before(self) -> float:
        """Return for how long earlier processes have trained, up to their last entry kept."""
        if self._before is None:
            entries = self.state.log_history
            self._before = max((entry.get("minutes", 0.0) for entry in entries), default=0.0)
        return self._before

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Measure the model as it is; thoughts are sampled by the project's own engine."""
        if self._measure is None:
            return {}
        learner: Any = self.model
        learner.eval()
        how = learner.objective.generation(self.state.global_step, self.state.max_steps)
        measured = {f"eval_{name}": value for name, value in self._measure(how).items()}
        self.log(measured)
        self.control = self.callback_handler.on_evaluate(
            self.args, self.state, self.control, measured
        )
        return measured

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Save the weights that are trained."""
        folder = Path(output_dir or str(self.args.output_dir))
        if self.args.should_save:
            folder.mkdir(parents=True, exist_ok=True)
            learner: Any = self.accelerator.unwrap_model(self.model)
            weights = {name: one.detach().contiguous() for name, one in learner.trained().items()}
            save_file(weights, folder / WEIGHTS)

    def load_weights(self, folder: Path) -> None:
        """Read the weights that a checkpoint holds."""
        learner: Any = self.accelerator.unwrap_model(self.model)
        stored = load_file(folder / WEIGHTS, device="cpu")
        with torch.no_grad():
            for name, weight in learner.trained().items():
                weight.copy_(stored[name])

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        self.load_weights(Path(resume_from_checkpoint))

"""Training a reward model on labelled trajectories, with transformers' Trainer."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from transformers import EarlyStoppingCallback, Trainer, TrainingArguments
from transformers.trainer_callback import TrainerState

from ..models.training.checkpoints import STATE, newest_checkpoint
from .auto import LatentRewardModel
from .batches import RewardCollator, check_counts
from .calibration import reward_scale
from .labels import LabelledQuestion
from .model import LatentRewardHead
from .trainer import METRIC, RewardTrainer

# What a checkpoint of the Trainer needs to go on from, beside its state.
_PARTS = ("model.safetensors", "optimizer.pt", "scheduler.pt")


@dataclass(frozen=True, kw_only=True)
class RewardRecipe:
    """How a reward model is trained; the defaults are the paper's but for the batch.

    Attributes:
        loss: a name in `LOSSES`.
        labels: `rollouts`, or `trajectory`, the paper's ablation in which every step's label is its
            trajectory's own correctness.
        learning_rate: peak, after the warm-up, falling to zero by a cosine.
        warmup: share of the updates.
        weight_decay: of AdamW.
        batch_size: questions in an optimizer step, on one process.
        epochs: most passes over the questions.
        patience: epochs without a better recall@1 after which training stops.
        seed: of the head and the batches.
    """

    loss: str = "contrastive"
    labels: str = "rollouts"
    learning_rate: float = 1e-4
    warmup: float = 0.1
    weight_decay: float = 0.01
    batch_size: int = 32
    epochs: int = 30
    patience: int = 5
    seed: int = 0


def train_reward_model(
    model: LatentRewardHead,
    questions: Sequence[LabelledQuestion],
    held_out: Sequence[LabelledQuestion],
    recipe: RewardRecipe,
    *,
    folder: Path,
    pad: int,
    train: bool = True,
    **arguments: Any,
) -> tuple[LatentRewardHead, dict[str, float]]:
    """Train a reward model until its recall@1 on held-out pools rises no more.

    Goes on from the newest complete checkpoint in `folder` where there is one.

    Args:
        model: a new reward model; trained in place.
        questions: as `training_questions` returns them.
        held_out: questions with all their trajectories, right or wrong.
        recipe: loss, rate and lengths of the training.
        folder: for checkpoints and logs.
        pad: token id that fills prompts on the left.
        train: False only measures the model as it is.
        **arguments: further `TrainingArguments`, such as `report_to`.

    Returns:
        The model of the best epoch, its head scaled so that exp(reward) weighs votes best on the
        held-out pools (`reward_scale`), and what was measured there: recall@1, pass@1, coverage,
        and the scale.
    """
    check_counts(held_out)
    trainer = RewardTrainer(
        model=model,
        args=_arguments(recipe, folder, questions, held_out, arguments),
        train_dataset=list(questions),
        eval_dataset=list(held_out),
        data_collator=RewardCollator(pad),
        callbacks=[EarlyStoppingCallback(recipe.patience)],
        loss=recipe.loss,
    )
    if train:
        state = _train(trainer, folder, recipe)
        best = LatentRewardModel.from_pretrained(folder / f"checkpoint-{state.best_global_step}")
        model.load_state_dict(best.state_dict())
    model.config.use_cache = True  # the Trainer turned it off
    pools: Any = list(held_out)
    found: Any = trainer.predict(pools, metric_key_prefix="eval")
    scale = reward_scale(found.predictions.astype(float), found.label_ids) if train else 1.0
    _scale(model, scale)
    measured = {name: found.metrics[f"eval_{name}"] for name in (METRIC, "pass@1", "coverage")}
    return model.eval(), measured | {"scale": scale}


@torch.no_grad()
def _scale(model: LatentRewardHead, factor: float) -> None:
    for parameter in model.classifier.parameters():
        parameter.mul_(factor)


def _train(trainer: Trainer, folder: Path, recipe: RewardRecipe) -> TrainerState:
    """Train to the end, or find that an earlier run did; return the state that names the best."""
    with PartialState().main_process_first():
        newest = newest_checkpoint(folder, _PARTS)
    if newest is not None:
        state = TrainerState.load_from_json(str(newest / STATE))
        if _has_ended(state, recipe):
            return state
    trainer.train(resume_from_checkpoint=None if newest is None else str(newest))
    return trainer.state


def _has_ended(state: TrainerState, recipe: RewardRecipe) -> bool:
    callbacks: Any = state.stateful_callbacks  # as read from JSON: states by class name
    stopping = callbacks.get("EarlyStoppingCallback", {})
    if isinstance(stopping, list):
        stopping = stopping[-1]
    waited = stopping.get("attributes", {}).get("early_stopping_patience_counter", 0)
    return state.global_step >= state.max_steps or waited >= recipe.patience


def _arguments(
    recipe: RewardRecipe,
    folder: Path,
    questions: Sequence[LabelledQuestion],
    held_out: Sequence[LabelledQuestion],
    arguments: dict[str, Any],
) -> TrainingArguments:
    rows = recipe.batch_size * (len(questions[0].right) if questions else 1)
    on_gpu = torch.cuda.is_available()
    return TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=recipe.epochs,
        per_device_train_batch_size=recipe.batch_size,
        per_device_eval_batch_size=max(1, rows // len(held_out[0].right)),
        learning_rate=recipe.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=recipe.warmup,
        weight_decay=recipe.weight_decay,
        eval_strategy="epoch",
        save_strategy="epoch",
        # With 1, the Trainer would end by deleting the last, which says that training has ended.
        save_total_limit=2,
        load_best_model_at_end=True,
        metric_for_best_model=METRIC,
        greater_is_better=True,
        # Else a run that goes on would forget for how long recall@1 has not risen.
        restore_callback_states_from_checkpoint=True,
        label_names=["labels", "right"],
        remove_unused_columns=False,
        seed=recipe.seed,
        data_seed=recipe.seed,
        use_cpu=not on_gpu,
        dataloader_pin_memory=on_gpu,
        **{"logging_strategy": "epoch", "report_to": [], **arguments},
    )

"""The one training: a course of examples, an objective, and how it goes on after a kill."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from transformers import TrainerState

from ..samplers import Sampler
from .checkpoints import STATE, SaveByClock, SeedByUpdate, newest_checkpoint
from .course import Course, Example, Turn
from .objectives import Objective
from .objectives.protocol import Batch
from .plan import Plan
from .trainer import PARTS, Learner, Measure, OneTrainer
from .unroll import recomputed


@dataclass(frozen=True)
class Trained:
    """What a training did.

    Attributes:
        updates: optimizer steps, those of earlier processes included.
        minutes: that they took, those of earlier processes included.
        log: transformers' log: losses and measurements with their updates.
        measured: what was measured after the last update.
    """

    updates: int
    minutes: float
    log: Sequence[Mapping[str, float]]
    measured: Mapping[str, float]


def train(
    model: Any,
    tokenizer: Any,
    examples: Sequence[Example],
    objective: Objective,
    plan: Plan,
    *,
    folder: Path,
    sampler: Sampler | None = None,
    measure: Measure | None = None,
    quiet: bool = False,
) -> Trained:
    """Train a model, going on from the newest checkpoint where there is one.

    The same arguments give the same weights on the same machine, however often the process was
    killed: the order of examples and everything random are addressed by seed and update.

    Args:
        model: trained in place; weights that need no gradient stay.
        tokenizer: the model's.
        examples: what is learned from.
        objective: what is learned.
        plan: for how long.
        folder: checkpoints and logs go here.
        sampler: makes thoughts random while training.
        measure: measures the model as it is, given the generation settings of an update; called by
            the plan and at the end.
        quiet: no progress bar.
    """
    state = PartialState()
    processes = state.num_processes
    updates = plan.count_updates(len(examples), processes)
    if plan.threads and state.device.type == "cpu":
        torch.set_num_threads(plan.threads)
    course = Course(
        examples,
        updates=updates,
        batch_size=plan.batch_size,
        batches=plan.accumulate * processes,
        seed=plan.seed,
    )
    trainer = OneTrainer(
        model=Learner(model, objective, sampler or Sampler()),
        args=plan.arguments(str(folder), updates, disable_tqdm=quiet),
        train_dataset=course,
        eval_dataset=[],
        data_collator=partial(_collate, objective, model, tokenizer, updates, plan.seed),
        callbacks=[SaveByClock(plan.save_minutes), SeedByUpdate(plan.seed)],
        measure=measure,
        plan=plan,
    )
    with state.main_process_first():
        newest = newest_checkpoint(folder, PARTS)
    done = TrainerState.load_from_json(str(newest / STATE)) if newest else None
    if newest is None or done is None or done.global_step < updates:
        with recomputed(model, plan.gradient_checkpointing):
            trainer.train(resume_from_checkpoint=None if newest is None else str(newest))
        done = trainer.state
    else:
        trainer.load_weights(newest)
    model.eval()
    minutes = max((entry.get("minutes", 0.0) for entry in done.log_history), default=0.0)
    last = [e for e in done.log_history if e.get("step") == updates and "eval_n" in e]
    measured = {k.removeprefix("eval_"): v for e in last for k, v in e.items() if k[:5] == "eval_"}
    if measure is not None and not measured:
        measured = dict(measure(objective.generation(updates, updates)))
    return Trained(updates, minutes, done.log_history, measured)


def _collate(
    objective: Objective, model: Any, tokenizer: Any, updates: int, seed: int, turns: list[Turn]
) -> dict[str, Batch]:
    batch = objective.collate(model, tokenizer, turns, updates=updates, seed=seed)
    return {"batch": batch}

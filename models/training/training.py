"""The one training: a course of examples, an objective, and how it goes on after a kill."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from torch import nn
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
        helpers: the objective's modules, trained with the model.
    """

    updates: int
    minutes: float
    log: Sequence[Mapping[str, float]]
    measured: Mapping[str, float]
    helpers: nn.ModuleDict


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
    learner = Learner(model, objective, sampler or Sampler())
    trainer = OneTrainer(
        model=learner,
        args=plan.arguments(str(folder), updates, disable_tqdm=quiet),
        train_dataset=course,
        eval_dataset=[],
        data_collator=partial(_collate, objective, model, tokenizer, updates, plan.seed),
        callbacks=[SaveByClock(plan.save_minutes), SeedByUpdate(plan.seed)],
        measure=measure,
        plan=plan,
    )
    done = _run(trainer, model, folder, plan, updates)
    model.eval()
    log = done.log_history
    measured = _measured(log, updates)
    if measure is not None and not measured:
        measured = dict(measure(objective.generation(updates, updates)))
    return Trained(updates, _minutes(log), log, measured, learner.helpers)


def _minutes(log: Sequence[Mapping[str, float]]) -> float:
    return max((entry.get("minutes", 0.0) for entry in log), default=0.0)


def _measured(log: Sequence[Mapping[str, float]], update: int) -> dict[str, float]:
    """Return what a log says was measured after an update, by name."""
    found = [entry for entry in log if entry.get("step") == update and "eval_n" in entry]
    return {k.removeprefix("eval_"): v for e in found for k, v in e.items() if k[:5] == "eval_"}


def _run(trainer: OneTrainer, model: Any, folder: Path, plan: Plan, updates: int) -> TrainerState:
    """Train to the end, or find that an earlier process did; return what was done."""
    with PartialState().main_process_first():
        newest = newest_checkpoint(folder, PARTS)
    if newest is not None:
        done = TrainerState.load_from_json(str(newest / STATE))
        if done.global_step >= updates:
            trainer.load_weights(newest)
            return done
    with recomputed(model, plan.gradient_checkpointing):
        trainer.train(resume_from_checkpoint=None if newest is None else str(newest))
    return trainer.state


def _collate(
    objective: Objective, model: Any, tokenizer: Any, updates: int, seed: int, turns: list[Turn]
) -> dict[str, Batch]:
    batch = objective.collate(model, tokenizer, turns, updates=updates, seed=seed)
    return {"batch": batch}

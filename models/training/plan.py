"""How long and how fast a model is trained, whatever is learned."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from transformers import TrainingArguments

from ..fields import check_fields, choice, flag, integer, real


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Numbers of a training.

    Attributes:
        epochs: passes over the examples, where `updates` is not given.
        updates: optimizer steps.
        batch_size: examples read together, on each process.
        accumulate: batches of each process in an optimizer step.
        learning_rate: peak, after the warm-up, falling by a cosine.
        least_rate: share of the peak that it falls to.
        warmup: share of the updates.
        weight_decay: of AdamW, for weights of matrices.
        adam_beta2: of AdamW.
        max_grad_norm: longer gradients are shortened to it.
        seed: of new weights, the order of examples, and all that is random while training.
        gradient_checkpointing: compute states again in the backward pass, for less memory.
        precision: of the passes, not of what is trained: `bfloat16` by autocast, or `float32`;
            `auto` is the first on a GPU that has it and the second elsewhere.
        threads: of torch, on a CPU; 0 leaves them as they are.
        save_minutes: between the checkpoints that a killed run goes on from.
        eval_updates: optimizer steps between evaluations; 0 for one at the end.
        log_updates: optimizer steps between entries of the log.
        report_to: as in transformers, such as `tensorboard`; `none` for nothing.
    """

    epochs: float = real(1.0)
    updates: int | None = integer(None, least=1, optional=True)
    batch_size: int = integer(16, least=1)
    accumulate: int = integer(1, least=1)
    learning_rate: float = real(1e-4)
    least_rate: float = real(0.1)
    warmup: float = real(0.03, below=1.0)
    weight_decay: float = real(0.01)
    adam_beta2: float = real(0.98, below=1.0)
    max_grad_norm: float = real(1.0)
    seed: int = integer(0, least=0)
    gradient_checkpointing: bool = flag(False)
    precision: str = choice("auto", "float32", "bfloat16")
    threads: int = integer(1, least=0)
    save_minutes: float = real(5.0)
    eval_updates: int = integer(0, least=0)
    log_updates: int = integer(20, least=1)
    report_to: str = "tensorboard"

    def __post_init__(self) -> None:
        """Check every number."""
        check_fields(self)

    def count_updates(self, examples: int, processes: int = 1) -> int:
        """Return the optimizer steps of a training on so many examples."""
        size = self.batch_size * self.accumulate * processes
        return self.updates or max(1, math.ceil(self.epochs * examples / size))

    def arguments(self, folder: str, updates: int, **more: Any) -> TrainingArguments:
        """Return transformers' arguments: float32 on a CPU, bfloat16 on a GPU."""
        on_gpu = torch.cuda.is_available()
        has_bfloat16 = on_gpu and torch.cuda.is_bf16_supported()
        return TrainingArguments(
            output_dir=folder,
            max_steps=updates,
            per_device_train_batch_size=self.batch_size,
            gradient_accumulation_steps=self.accumulate,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            adam_beta2=self.adam_beta2,
            max_grad_norm=self.max_grad_norm,
            train_sampling_strategy="sequential",  # the course is in order
            save_strategy="no",  # by the clock instead
            save_total_limit=2,
            eval_strategy="steps" if self.eval_updates else "no",
            eval_steps=self.eval_updates or None,
            logging_steps=self.log_updates,
            report_to=[self.report_to],
            seed=self.seed,
            data_seed=self.seed,
            use_cpu=not on_gpu,
            bf16=self.precision == "bfloat16" or (self.precision == "auto" and has_bfloat16),
            dataloader_pin_memory=on_gpu,
            remove_unused_columns=False,
            **more,
        )

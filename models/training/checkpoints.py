"""Checkpoints of a training that may be killed at any moment."""

import json
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments, set_seed

STATE = "trainer_state.json"
"""The file that transformers writes last."""


def newest_checkpoint(folder: Path, parts: Sequence[str]) -> Path | None:
    """Return the newest complete checkpoint; those that a kill left in part are removed.

    Args:
        folder: that holds `checkpoint-<update>` folders.
        parts: names of files that a complete one has, beside the trainer's state.
    """
    complete = []
    for path in folder.glob("checkpoint-*"):
        try:
            json.loads((path / STATE).read_text())
            if all((path / part).is_file() for part in parts):
                complete.append(path)
                continue
        except (OSError, ValueError):
            pass
        shutil.rmtree(path)
    return max(complete, key=lambda path: int(path.name.rpartition("-")[2]), default=None)


class SaveByClock(TrainerCallback):
    """Asks for a checkpoint every few minutes and after the last update."""

    def __init__(self, minutes: float) -> None:
        """Start the clock."""
        self._seconds = 60 * minutes
        self._last = time.monotonic()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Ask for a checkpoint where one is due."""
        due = time.monotonic() - self._last >= self._seconds
        if due or state.global_step >= state.max_steps:
            self._last = time.monotonic()
            control.should_save = True


class SeedByUpdate(TrainerCallback):
    """Seeds torch anew before every update, so that the model's dropout depends on no history."""

    def __init__(self, seed: int) -> None:
        """Keep the seed."""
        self._seed = seed

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Seed by the update and the process."""
        mixed = (self._seed * 1_000_003 + state.global_step) * 1009 + args.process_index
        set_seed(mixed % (1 << 32))

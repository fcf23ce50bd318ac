"""The processes that share a command's work."""

import os

import torch
from accelerate import PartialState


def process_state() -> PartialState:
    """Return accelerate's state, with several processes on CPUs too.

    accelerate takes the processes that torchrun starts on a machine without a GPU for so many
    separate programs, unless it is told that they are to use the CPU.
    """
    several = int(os.environ.get("WORLD_SIZE", "1")) > 1
    return PartialState(cpu=True) if several and not torch.cuda.is_available() else PartialState()

"""The processes that share a command's work."""

import torch
from accelerate import PartialState


def process_state(*, cpu: bool | None = None) -> PartialState:
    """Return accelerate's state of the processes that share this run.

    Args:
        cpu: whether they compute on CPUs; where there is no GPU if None. accelerate takes such
            processes of torchrun for so many separate programs unless it is told.
    """
    return PartialState(cpu=not torch.cuda.is_available() if cpu is None else cpu)

"""What a benchmark is asked to measure, and on what."""

import platform
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from .work import Work


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What a benchmark is asked to measure, and on what.

    Attributes:
        work: sizes, lengths and the seed.
        samplers: names in `SAMPLERS`.
        counts: each N.
        rounds: how often each way takes its turn.
        device: where.
        dtype: of weights and products.
        reference: folder of the published code, to be compared with it.
        reference_python: the Python that runs it.
    """

    work: Work
    samplers: tuple[str, ...]
    counts: tuple[int, ...]
    rounds: int
    device: torch.device
    dtype: torch.dtype
    reference: Path | None = None
    reference_python: str = sys.executable

    @cached_property
    def model(self) -> Any:
        """The model of `work`."""
        return self.work.model(self.device, self.dtype)

    @cached_property
    def input_ids(self) -> torch.Tensor:
        """The prompts of `work`, i64[B, P]."""
        return self.work.prompts().to(self.device)

    def about(self) -> dict[str, Any]:
        """Return what a reader must know of the machine, and the sizes."""
        return {
            "machine": _processor() if self.device.type == "cpu" else torch.cuda.get_device_name(),
            "device": str(self.device),
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
            "dtype": str(self.dtype).removeprefix("torch."),
            "rounds": self.rounds,
            **vars(self.work),
        }


def _processor() -> str:
    """Return the processor's name, as Linux or else Python knows it."""
    file = Path("/proc/cpuinfo")
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()

"""Seconds, bytes, and the machine's rate of matrix products."""

import ctypes
import gc
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import psutil
import torch

Run = Callable[[], Any]

# Rows, inner and outer size: GPT-2 small's widest layer over few and many rows, and a large square.
_SHAPES = ((64, 768, 3072), (512, 768, 3072), (2048, 2048, 2048))
_RATE_SECONDS = 0.1  # for each product and shape
_LOOK_SECONDS = 0.002


@dataclass(frozen=True)
class Spread:
    """The median of some rounds' values, the least and the greatest."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Summarise values, of which there is at least one."""
        return cls(statistics.median(values), min(values), max(values))

    @classmethod
    def of_ratios(cls, above: Sequence[float], below: Sequence[float]) -> "Spread":
        """Summarise each round's ratio of two values."""
        return cls.of([one / other for one, other in zip(above, below, strict=True)])

    def fields(self, name: str) -> dict[str, float]:
        """Return the median as `name`, the range as `name_low` and `name_high`."""
        return {name: self.median, f"{name}_low": self.low, f"{name}_high": self.high}


@dataclass(frozen=True)
class Peak:
    """Bytes of the process, or of the accelerator's tensors.

    Attributes:
        before: held before something ran.
        most: held at most while it ran.
    """

    before: int
    most: int


def seconds(device: torch.device, run: Run) -> float:
    """Return how long `run` takes, the accelerator's work included."""
    _synchronize(device)
    start = time.perf_counter()
    run()
    _synchronize(device)
    return time.perf_counter() - start


def interleaved(device: torch.device, ways: dict[str, Run], *, rounds: int) -> dict[str, list]:
    """Return each way's seconds, one for each round; in a round each way runs once."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, run in ways.items():
            taken[name].append(seconds(device, run))
    return taken


def peak_memory(device: torch.device, run: Run) -> Peak:
    """Return what was held before `run` and at most while it ran; do not time it meanwhile.

    On a CPU the process's resident memory, looked at every 2 ms: what is held for less is missed.
    """
    trim_memory()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        run()
        return Peak(before, torch.cuda.max_memory_allocated(device))
    before = most = resident_bytes()
    done = threading.Event()

    def look() -> None:
        nonlocal most
        while not done.wait(_LOOK_SECONDS):
            most = max(most, resident_bytes())

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        run()
    finally:
        done.set()
        watcher.join()
    return Peak(before, max(most, resident_bytes()))


def resident_bytes() -> int:
    """Return the process's resident memory."""
    return psutil.Process().memory_info().rss


def trim_memory() -> None:
    """Give freed memory back to the system, which glibc does only when it is told."""
    gc.collect()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def weight_bytes(model: Any) -> int:
    """Return the size of a model's weights, shared ones counted once."""
    return sum(weight.numel() * weight.element_size() for weight in model.parameters())


def matrix_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Return the most floating-point operations per second that matrix products reach here.

    The best of several shapes, each by torch.mm and, where there is one, by oneDNN's product with a
    weight that was brought into its own order beforehand.
    """
    best = 0.0
    for rows, inner, outer in _SHAPES:
        for product in _products(device, dtype, rows, inner, outer):
            product()
            end = time.perf_counter() + _RATE_SECONDS
            while time.perf_counter() < end:
                best = max(best, 2.0 * rows * inner * outer / seconds(device, product))
    return best


def _products(
    device: torch.device, dtype: torch.dtype, rows: int, inner: int, outer: int
) -> Iterator[Run]:
    left = torch.randn(rows, inner, device=device, dtype=dtype)
    right = torch.randn(inner, outer, device=device, dtype=dtype)
    into = torch.empty(rows, outer, device=device, dtype=dtype)
    yield lambda: torch.mm(left, right, out=into)
    ops = torch.ops.mkldnn
    packs = hasattr(ops, "_reorder_linear_weight") and hasattr(ops, "_linear_pointwise")
    if device.type == "cpu" and dtype == torch.float32 and packs:
        packed = ops._reorder_linear_weight(right.t().contiguous(), rows)
        yield lambda: ops._linear_pointwise(left, packed, None, "none", [], "")


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)

"""Seconds, and the machine's rate of matrix products."""

import time
from collections.abc import Callable
from typing import Any

import torch

Run = Callable[[], Any]

# Rows, inner and outer size: GPT-2 small's widest layer over many rows, and a large square.
SHAPES = ((4096, 768, 3072), (2048, 2048, 2048))


def seconds(device: torch.device, run: Run) -> float:
    """Return how long `run` takes, the accelerator's work included."""
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    wait()
    start = time.perf_counter()
    run()
    wait()
    return time.perf_counter() - start


def matrix_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Return the most floating-point operations per second that matrix products reach here."""
    best = 0.0
    for rows, inner, outer in SHAPES:
        left = torch.randn(rows, inner, device=device, dtype=dtype)
        right = torch.randn(inner, outer, device=device, dtype=dtype)
        fastest = min(seconds(device, lambda: left @ right) for _ in range(4))  # noqa: B023
        best = max(best, 2.0 * rows * inner * outer / fastest)
    return best

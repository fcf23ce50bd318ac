"""Seconds, and the machine's rate of matrix products."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import torch

Run = Callable[[], Any]

# Rows, inner and outer size: GPT-2 small's widest layer over few and many rows, and a large square.
_SHAPES = ((64, 768, 3072), (512, 768, 3072), (2048, 2048, 2048))
_RATE_SECONDS = 0.1  # for each product and shape


def seconds(device: torch.device, run: Run) -> float:
    """Return how long `run` takes, the accelerator's work included."""
    _synchronize(device)
    start = time.perf_counter()
    run()
    _synchronize(device)
    return time.perf_counter() - start


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

"""How often the engine lets the host wait for the device: at most once in an ordinary step."""

from collections import Counter

import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from tests.marks import slow_but
from tests.models.engine.passes import watching
from tests.models.sampled import COMMON, SAMPLING, thought_length

QUICK_BACKBONES = ("colar",)
NAMES = ["noise", "dropout", "one mask a sample", "answers"]
# Operators whose result's size, or whose result itself, the host must know before it goes on.
COUNTING = {
    *("aten::_local_scalar_dense", "aten::is_nonzero", "aten::equal"),
    *("aten::nonzero", "aten::_unique2", "aten::masked_select", "aten::bincount"),
    *("aten::repeat_interleave", "aten::lift_fresh"),  # the latter: a tensor of Python's numbers
}
INDEXING = {"aten::index", "aten::index_put", "aten::index_put_"}
COPYING = {"tolist", "cpu", "numpy"}


class Operators(TorchDispatchMode):
    """Counts operators that wait."""

    def __init__(self, found):
        super().__init__()
        self.found = found

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func._schema.name
        masks = name in INDEXING and any(
            index is not None and index.dtype in (torch.bool, torch.uint8) for index in args[1]
        )
        if masks or name in COUNTING:
            self.found[name] += 1
        return func(*args, **(kwargs or {}))


class Copies(TorchFunctionMode):
    """Counts copies to the host, which on a CPU are no operators."""

    def __init__(self, found):
        super().__init__()
        self.found = found

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if getattr(func, "__name__", "") in COPYING:
            self.found[func.__name__] += 1
        return func(*args, **(kwargs or {}))


def waits(backbone, settings, questions=3):
    """Return the rows of each ordinary step of a run, and what made the host wait before it.

    A step is not ordinary where rows join, nor where a group that is half empty closes up.
    """
    found, steps, before = Counter(), [], None

    def see(one):
        nonlocal before
        held = None if one.prefill else [group.slots.count for group in one.cache.groups]
        if held is not None and held == before:
            steps.append((one.rows, Counter(found)))
        found.clear()
        before = held

    with watching(backbone.model, see), Operators(found), Copies(found):
        trajectories = backbone.sample(
            {**settings, "num_return_sequences": 16}, questions=questions
        )
    assert len(trajectories) == questions * 16
    return steps


@pytest.mark.parametrize("name", slow_but(NAMES, "dropout"))
def test_a_step_waits_once(backbone, name):
    steps = waits(backbone, {**COMMON, **thought_length(backbone, 5), **SAMPLING[name]})
    assert len(steps) > 5
    if name == "noise":
        assert len({rows for rows, _ in steps}) > 1  # rows leave in some of them
    assert [counts for _, counts in steps if counts != Counter(tolist=1)] == []

"""Where the engine's time goes, by groups of operators."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from torch.autograd.profiler_util import FunctionEvent
from torch.profiler import ProfilerActivity, profile

from .measures import Run, seconds
from .setup import Setup
from .work import SAMPLERS

_PRODUCTS = ("mm", "addmm", "linear", "matmul", "_linear_pointwise", "_mkl_linear")
_ATTENTION = ("attention", "bmm", "_softmax")
_COPIES = ("copy_", "cat", "clone", "contiguous", "index", "gather", "reorder", "fill_", "zero_")
_ELEMENTWISE = (
    *("add", "sub", "mul", "div", "pow", "tanh", "gelu", "layer_norm", "where", "isfinite"),
    *("abs", "eq", "ne", "ge", "gt", "le", "lt", "bitwise", "logical", "neg", "exp", "log"),
)
_RANDOMNESS = "models/randomness.py"  # whatever is called from this file


def profile_samplers(setup: Setup) -> Iterator[dict[str, Any]]:
    """Measure each N with each sampler under torch's profiler.

    Yields:
        A row for each setting and group: `seconds` that the group's operators took themselves, and
        `share` of the time that the same call takes unwatched. `outside operators` is what is left
        of that time: Python, and calling operators. A product belongs to the head if its weight is
        of no layer's shape.
    """
    for count in setup.counts:
        for sampler in setup.samplers:
            settings = setup.work.settings(setup.model, sampler, count)

            def run(settings: Any = settings) -> None:
                setup.model.generate(setup.input_ids, **vars(settings))

            run()
            whole = seconds(setup.device, run)
            groups = _groups(setup, run)
            groups["outside operators"] = max(0.0, whole - sum(groups.values()))
            kind, scope = SAMPLERS[sampler]
            for group, taken in sorted(groups.items(), key=lambda item: -item[1]):
                yield {
                    "sampler": kind,
                    "scope": scope,
                    "num_return_sequences": count,
                    "group": group,
                    "seconds": taken,
                    "share": taken / whole,
                }


def _groups(setup: Setup, run: Run) -> dict[str, float]:
    """Return each group's seconds on the CPU, or on the accelerator where there is one."""
    cuda = setup.device.type == "cuda"
    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * cuda
    with profile(activities=activities, record_shapes=True, with_stack=True) as watch:
        run()
    layers = {
        tuple(sorted(weight.shape))
        for weight in setup.model.base_model.h.parameters()
        if weight.dim() == 2
    }
    found: dict[str, float] = defaultdict(float)
    for event in watch.events():
        own = event.self_device_time_total if cuda else event.self_cpu_time_total
        if own and "::" in event.name and not event.name.startswith("cuda"):
            found[_group(event, layers)] += own / 1e6
    return found


def _group(event: FunctionEvent, layers: set[tuple[int, ...]]) -> str:
    name = event.name.rpartition("::")[2]
    if _called_from(event, _RANDOMNESS):
        return "randomness"
    if name in _PRODUCTS:
        inputs: Any = event.input_shapes
        shapes = {tuple(sorted(shape)) for shape in inputs if len(shape) == 2}
        return "linear layers" if shapes & layers else "head"
    for group, parts in (
        ("attention products", _ATTENTION),
        ("copies", _COPIES),
        ("elementwise", _ELEMENTWISE),
    ):
        if any(part in name for part in parts):
            return group
    return "other"


def _called_from(event: FunctionEvent, file: str) -> bool:
    caller = event.cpu_parent
    while caller is not None:
        if file in caller.name:
            return True
        caller = caller.cpu_parent
    return False

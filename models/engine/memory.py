"""How much memory there is left, and giving it back."""

import os
from collections.abc import Iterator
from pathlib import Path

import psutil
import torch
from accelerate.utils.memory import should_reduce_batch_size

_ROOT = Path("/")
# Controllers of a hierarchy of control groups -> its folder, and the files that hold the limit, the
# use, and, by a line of memory.stat, what of the use the system takes back by itself.
_HIERARCHIES = {
    "": ("", "memory.max", "memory.current", "inactive_file"),
    "memory": ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}
# What oneDNN and C++ say where memory has run out, beside what accelerate knows.
_OUT_OF_MEMORY = ("could not create a primitive", "could not execute a primitive", "std::bad_alloc")


def free_memory(device: torch.device) -> int:
    """Return the bytes that this process may still take on a device.

    On a CPU that is the least of what the system has and what the process's control groups (those
    of a container, say) leave, divided among the processes that torchrun or accelerate started.
    """
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    free = min([psutil.virtual_memory().available, *_left_by_groups()])
    processes = os.environ.get("LOCAL_WORLD_SIZE", "")
    return max(0, free) // (int(processes) if processes.isdecimal() and int(processes) else 1)


def is_out_of_memory(error: Exception) -> bool:
    """Return whether an error says that memory has run out, so that less may fit."""
    if isinstance(error, MemoryError) or should_reduce_batch_size(error):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in _OUT_OF_MEMORY)


def release_memory() -> None:
    """Give what torch keeps of an accelerator's memory back."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _left_by_groups() -> Iterator[int]:
    """Yield what each control group of this process that has a limit leaves of it, in bytes."""
    file = _ROOT / "proc/self/cgroup"
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    for line in lines:
        _, controllers, name = (*line.split(":", 2), "", "")[:3]
        kind = "memory" if "memory" in controllers.split(",") else controllers
        if kind not in _HIERARCHIES or not name:
            continue
        hierarchy, *files = _HIERARCHIES[kind]
        top = _ROOT / "sys/fs/cgroup" / hierarchy
        # In a container, the name may be the one that the group has outside of it.
        group = top / name.lstrip("/")
        for folder in (group, *group.parents[: len(group.parts) - len(top.parts)]):
            yield from _left(folder, *files)


def _left(group: Path, limit: str, use: str, reclaimed: str) -> Iterator[int]:
    try:
        most, used, stat = (
            (group / name).read_text(encoding="utf-8") for name in (limit, use, "memory.stat")
        )
    except OSError:  # the topmost group has no limit, and a name may be unknown here
        return
    if most.strip() == "max":
        return
    counts = dict(line.split(maxsplit=1) for line in stat.splitlines())
    yield int(most) - int(used) + int(counts.get(reclaimed, 0))

"""How much memory there is left, and giving it back."""

import os
from collections.abc import Iterator
from pathlib import Path

import psutil
import torch

_ROOT = Path("/")
# Controllers of a hierarchy of control groups -> its folder, and the files that hold the limit, the
# use, and, by a line of memory.stat, what of the use the system takes back by itself.
_HIERARCHIES = {
    "": ("", "memory.max", "memory.current", "inactive_file"),
    "memory": ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}


def free_memory(device: torch.device) -> int:
    """Return the bytes that this process may still take on a device.

    On a CPU that is the least of what the system has and what the process's control groups (those
    of a container, say) leave, divided among the processes that torchrun or accelerate started.
    """
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    free = min([psutil.virtual_memory().available, *_left_by_groups()])
    return max(0, free) // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def release_memory() -> None:
    """Give what torch keeps of an accelerator's memory back."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _left_by_groups() -> Iterator[int]:
    """Yield what each control group of this process that has a limit leaves of it, in bytes."""
    file = _ROOT / "proc/self/cgroup"
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    for line in lines:
        _, controllers, name = line.split(":", 2)
        if controllers not in _HIERARCHIES:
            continue
        hierarchy, *files = _HIERARCHIES[controllers]
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

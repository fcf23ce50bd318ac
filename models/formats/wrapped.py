"""Names of weights without what wrappers of a module put into them."""

from collections.abc import Mapping
from typing import TypeVar

from ..errors import ModelError

T = TypeVar("T")

# Parts of names that torch.compile, FSDP and activation checkpointing add, and no model has.
_ADDED = frozenset({"_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"})
# What DistributedDataParallel adds; a model may have a part of that name beside others.
_COMMON = "module"


def unwrapped(named: Mapping[str, T]) -> dict[str, T]:
    """Return things by the names that their weights have in the module that was wrapped.

    `_orig_mod` and the like are taken out wherever they stand, since a part of a model may be
    wrapped; `module` where it is the only thing at its place.

    Raises:
        ModelError: two weights would have one name.
    """
    paths = {name: [part for part in name.split(".") if part not in _ADDED] for name in named}
    at = 0
    while any(len(path) > at for path in paths.values()):
        beside: dict[tuple[str, ...], set[str]] = {}
        for path in paths.values():
            beside.setdefault(tuple(path[:at]), set()).update(path[at : at + 1])
        wrapped = {place for place, parts in beside.items() if parts == {_COMMON}}
        changed = {
            name: path[:at] + path[at + 1 :]
            for name, path in paths.items()
            if tuple(path[:at]) in wrapped and len(path) > at + 1
        }
        paths |= changed
        at += not changed  # what stands there now may be a wrapper once more
    found = {".".join(paths[name]): each for name, each in named.items()}
    if len(found) < len(named):
        clashing = sorted(name for name in named if ".".join(paths[name]) != name)
        raise ModelError(
            f"Without what torch's wrappers add, {clashing[0]} has the name of another weight of "
            "the same file. Save the wrapped module's own state dict."
        )
    return found

"""What the engine gives its trunk to read."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Pass:
    """A forward pass of a trunk, as the engine is about to make it.

    Attributes:
        prefill: whether prompts are read.
        rows: how many prompts or rows.
        read: positions that each group of rows has read after its prompts; none in prefill.
        held: positions whose keys and values are held.
        cache: the rows' cache; None in prefill.
    """

    prefill: bool
    rows: int
    read: tuple[int, ...] = ()
    held: int = 0
    cache: Any = None

    @classmethod
    def of(cls, given: dict[str, Any]) -> "Pass":
        if "input_ids" in given:
            return cls(prefill=True, rows=len(given["input_ids"]))
        cache = given["row_cache"]
        return cls(
            prefill=False,
            rows=len(given["inputs_embeds"]),
            read=tuple(group.length for group in cache.groups),
            held=cache.positions,
            cache=cache,
        )


@contextmanager
def watching(model: Any, see: Callable[[Pass], None]) -> Iterator[None]:
    """Show every pass of a model's trunk to `see`, which may raise."""
    hook = model.base_model.register_forward_pre_hook(
        lambda module, args, given: see(Pass.of(given)), with_kwargs=True
    )
    try:
        yield
    finally:
        hook.remove()

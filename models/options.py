"""How samples are computed, which is nobody's business but time's and memory's."""

from dataclasses import dataclass
from typing import Any

from .errors import ModelError

_MODES = ("default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs")


@dataclass(frozen=True, kw_only=True)
class EngineOptions:
    """How the engine computes; changes thoughts in float32's last digits, answers only in ties.

    Each option turns itself off where it cannot run.

    Attributes:
        packed_weights: hold the weights a second time, in the order in which a CPU multiplies.
            Changed weights are packed anew, but a change of few numbers through `.data` is not
            noticed: turn this off around such.
        drafts: let answers that repeat themselves go on by several tokens at a time.
        torch_compile: compile the trunk for the steps after the prompt: true, or a mode of
            `torch.compile`. Minutes of compiling, so it pays on an accelerator and long runs only;
            not under dropout, and without packed weights.
        max_rows: most samples that are advanced together; chosen by device and memory if None.

    Raises:
        ModelError: a value out of its range.
    """

    packed_weights: bool = True
    drafts: bool = True
    torch_compile: bool | str = False
    max_rows: int | None = None

    def __post_init__(self) -> None:
        """Check every field."""
        for name in ("packed_weights", "drafts"):
            if not isinstance(getattr(self, name), bool):
                raise ModelError(f"{name}={getattr(self, name)!r}; allowed are true and false.")
        if not isinstance(self.torch_compile, bool) and self.torch_compile not in _MODES:
            raise ModelError(
                f"torch_compile={self.torch_compile!r}; allowed are true, false and "
                f"{', '.join(_MODES)}."
            )
        rows = self.max_rows
        if rows is not None and (isinstance(rows, bool) or not isinstance(rows, int) or rows < 1):
            raise ModelError(f"max_rows={rows!r}; allowed is a whole number of at least 1.")


def engine_options(model: Any) -> EngineOptions:
    """Return a model's `engine`, the default where it has none."""
    return getattr(model, "engine", EngineOptions())

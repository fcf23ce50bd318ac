"""Options that change speed and memory, never samples."""

from dataclasses import dataclass

from .fields import check_fields, flag, integer


@dataclass(frozen=True, kw_only=True)
class EngineOptions:
    """How the engine computes; thoughts change in float32's last digits, answers only in ties.

    Attributes:
        packed_weights: hold the weights a second time, in the order in which a CPU multiplies.
            Changed weights are packed anew, but a change of few numbers through `.data` is not
            noticed: turn this off around such. Turns itself off where it cannot run.
        max_rows: most samples that are advanced together; chosen by device and memory if None.

    Raises:
        ModelError: a value out of its range.
    """

    packed_weights: bool = flag(True)
    max_rows: int | None = integer(None, least=1, optional=True)

    def __post_init__(self) -> None:
        """Check every field."""
        check_fields(self)

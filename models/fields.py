"""Fields of settings that know what they allow, and the check of a whole dataclass."""

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any

from ..registry import near
from .errors import ModelError


@dataclass(frozen=True)
class Allowed:
    """What a field may hold.

    Attributes:
        what: the values, in words.
        holds: whether a value is one of them.
        near: names to suggest where the value is a text.
    """

    what: str
    holds: Callable[[Any], bool]
    near: tuple[str, ...] = ()

    def check(self, name: str, value: Any) -> None:
        """Raise ModelError for a value that is not allowed."""
        if not self.holds(value):
            raise ModelError(f"{name}={value!r};{near(value, self.near)} {self.what}.")


def real_range(*, least: float = 0.0, below: float = math.inf) -> Allowed:
    """Allow numbers of at least `least` and below `below`."""
    bound = f"below {below:g}" if below < math.inf else "finite"

    def holds(value: Any) -> bool:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and least <= value < below and (isinstance(value, float) or _fits(value))

    return Allowed(f"allowed is a number at least {least:g} and {bound}", holds)


def integer_range(*, least: int | None = None, optional: bool = False) -> Allowed:
    """Allow integers of at least `least`, and None where they are optional."""
    bound = "" if least is None else f" of at least {least}"

    def holds(value: Any) -> bool:
        if value is None:
            return optional
        integer = isinstance(value, int) and not isinstance(value, bool)
        return integer and (least is None or value >= least)

    return Allowed(f"allowed is a whole number{bound}", holds)


def one_of(*names: str) -> Allowed:
    """Allow some texts."""
    return Allowed(
        f"Allowed are: {', '.join(names)}", lambda value: value in names, near=tuple(names)
    )


def true_or_false() -> Allowed:
    """Allow booleans."""
    return Allowed("allowed are true and false", lambda value: isinstance(value, bool))


def real(default: float, *, least: float = 0.0, below: float = math.inf) -> Any:
    """Return a dataclass field for a number of at least `least` and below `below`."""
    return _field(default, real_range(least=least, below=below))


def integer(default: int | None, *, least: int | None = None, optional: bool = False) -> Any:
    """Return a dataclass field for an integer."""
    return _field(default, integer_range(least=least, optional=optional))


def share(default: float) -> Any:
    """Return a dataclass field for a number above 0 and at most 1."""
    smallest = sys.float_info.min
    allowed = real_range(least=smallest, below=math.nextafter(1.0, 2.0))
    return _field(default, Allowed("allowed is a number above 0 and at most 1", allowed.holds))


def choice(*names: str) -> Any:
    """Return a dataclass field for one of some names, the first by default."""
    return _field(names[0], one_of(*names))


def flag(default: bool) -> Any:
    """Return a dataclass field for true or false."""
    return _field(default, true_or_false())


def check_fields(settings: Any) -> None:
    """Raise ModelError for the first field of a dataclass that holds what it does not allow."""
    for one in fields(settings):
        allowed = one.metadata.get("allowed")
        if allowed is not None:
            value = getattr(settings, one.name)
            allowed.check(one.name, value)
            if isinstance(one.default, float):
                object.__setattr__(settings, one.name, float(value))  # torch takes no large int


def _field(default: Any, allowed: Allowed) -> Any:
    return field(default=default, metadata={"allowed": allowed})


def _fits(value: int) -> bool:
    try:
        float(value)
    except OverflowError:
        return False
    return True

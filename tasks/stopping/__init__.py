"""Every rule by which sampling stops early, one file each, and the table of them."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass

from ...registry import Registry, class_check
from ..errors import TaskError
from .adaptive_consistency import AdaptiveConsistency
from .bayes import Bayes
from .cges import CGES
from .esc import ESC
from .protocol import StoppingRule, first_of, next_look, spent

__all__ = [
    "STOPPING_RULES",
    "StoppingRule",
    "first_of",
    "make_rule",
    "next_look",
    "parameters",
    "read_rule",
    "spent",
]

GROUP = "latent_tts.stopping"

STOPPING_RULES: Registry[type[StoppingRule]] = Registry(
    GROUP,
    what="stopping rule",
    error=TaskError,
    things={rule.name: rule for rule in (AdaptiveConsistency, ESC, CGES, Bayes)},
    check=class_check(
        GROUP,
        StoppingRule,
        attribute="name",
        what="a subclass of StoppingRule with the name",
        error=TaskError,
    ),
)
"""Every rule by its name, those of other installed packages included."""


def parameters(kind: type[StoppingRule]) -> tuple[str, ...]:
    """Return the names of a rule's parameters."""
    return tuple(field.name for field in fields(kind) if field.init) if is_dataclass(kind) else ()


def make_rule(name: str, given: Mapping[str, object]) -> StoppingRule:
    """Return a rule with the parameters given.

    Raises:
        TaskError: an unknown rule, a parameter that it does not have, or one out of its range.
    """
    kind = STOPPING_RULES[name]
    own = parameters(kind)
    for parameter in given:
        if parameter not in own:
            raise TaskError(
                f"{name} has no parameter {parameter!r}; it has {', '.join(own) or 'none'}."
            )
    return kind(**given)


def read_rule(text: str) -> StoppingRule:
    """Read a rule as it is written on a command line, `esc:window=4` or `esc`.

    Raises:
        TaskError: as `make_rule`, or a parameter without a value.
    """
    name, _, rest = text.partition(":")
    given: dict[str, object] = {}
    for part in filter(None, rest.split(",")):
        parameter, equals, value = part.partition("=")
        if not equals:
            raise TaskError(f"rule {text!r}: {part!r} is no NAME=VALUE, such as threshold=0.9.")
        given[parameter.strip()] = _value(value.strip())
    return make_rule(name, given)


def _value(text: str) -> object:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text

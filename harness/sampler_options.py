"""Command line options for samplers' parameters, read from their table."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from typing import Any

import click

from ..models import SAMPLERS

_HELP = "Default: the checkpoint's own."


def sampler_options(*, many: bool = False) -> Callable[[Any], Any]:
    """Return a decorator that adds an option for every parameter of every sampler to a command.

    Args:
        many: whether the strengths may be given several times.
    """

    def add(command: Any) -> Any:
        for kind in reversed(list(SAMPLERS.values())):
            for field in reversed(fields(kind)):
                repeats = many and field.name == kind.strength
                command = click.option(
                    "--" + field.name.replace("_", "-"),
                    field.name,
                    type=type(field.default),
                    multiple=repeats,
                    help="A strength to try; repeatable." if repeats else _HELP,
                )(command)
        return command

    return add


def strengths(given: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield generation settings for each strength that was given."""
    for name, kind in SAMPLERS.items():
        for value in given.get(kind.strength, ()):
            yield {"latent_do_sample_by": name, kind.strength: value}


def other_parameters(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters that were given, strengths apart."""
    names = {kind.strength for kind in SAMPLERS.values()}
    return {name: value for name, value in given.items() if name not in names and value is not None}

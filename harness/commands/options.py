"""Command line options made from dataclasses: one for each field."""

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from types import NoneType
from typing import Any, TypeVar, get_args, get_type_hints

import click

from ...models import SAMPLERS
from ...models.formats import SourceOptions

Command = TypeVar("Command", bound=Callable[..., Any])
_SOURCE = {
    "base": "Folder or hub id of the language model that was trained.",
    "latent_length": "Number of thoughts that the model was trained to think.",
    "lora_alpha": "Numerator of the scale of a low-rank update.",
    "thinking_speed": "What stands in CoLaR's prompt: 1 to 5 or auto.",
    "embeds_std": "CoLaR's standard deviation of the base's embeddings.",
    "backbone": "Method of an adapter on a plain language model.",
}
_OWN = "Default: the checkpoint's own."


@dataclass(frozen=True)
class ThoughtOptions:
    """Settings of thoughts and answers that commands take, beside the samplers' own."""

    latent_do_sample_by: str | None = None
    latent_length: int | None = None
    max_latent_length: int | None = None
    max_new_tokens: int | None = None


def field_options(
    kind: type,
    *,
    helps: Mapping[str, str] | None = None,
    choices: Mapping[str, Sequence[str]] | None = None,
    default_help: str | None = None,
    many: Container[str] = (),
    prefix: str = "",
) -> Callable[[Command], Command]:
    """Return a decorator that adds an option for every field of a dataclass to a command.

    Args:
        kind: the dataclass.
        helps: what --help says of a field.
        choices: the only values of a field.
        default_help: what --help says of every other field, whose default is then None.
        many: fields that may be given several times.
        prefix: of every option's name.
    """
    hints = get_type_hints(kind)

    def add(command: Command) -> Command:
        for field in reversed(fields(kind)):
            name = field.name
            one_of = [hint for hint in get_args(hints[name]) if hint is not NoneType]
            chosen = (choices or {}).get(name)
            given: dict[str, Any] = {"multiple": True} if name in many else {}
            if default_help is None and name not in many:
                given = {"default": field.default, "show_default": True}
            command = click.option(
                "--" + f"{prefix}{name}".replace("_", "-"),
                f"{prefix}{name}",
                type=click.Choice(chosen) if chosen else (one_of or [hints[name]])[0],
                help=(helps or {}).get(name, default_help),
                **given,
            )(command)
        return command

    return add


def sampler_options(command: Command) -> Command:
    """Add every sampler's parameters; strengths may be given several times."""
    for kind in reversed(list(SAMPLERS.values())):
        helps = {kind.strength: "A strength to try; repeatable."} if kind.strength else {}
        add = field_options(kind, helps=helps, default_help=_OWN, many={kind.strength})
        command = add(command)
    return command


def thought_options(command: Command) -> Command:
    """Add every setting of thoughts and answers, the samplers' parameters among them."""
    for kind in (*reversed(list(SAMPLERS.values())), ThoughtOptions):
        command = field_options(kind, default_help=_OWN)(command)
    return command


def source_options(command: Command) -> Command:
    """Add what the files of training programs do not say."""
    return field_options(SourceOptions, helps=_SOURCE, default_help="")(command)


def strengths(given: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield generation settings for each strength that was given."""
    for name, kind in SAMPLERS.items():
        for value in given.get(kind.strength, ()):
            yield {"latent_do_sample_by": name, kind.strength: value}


def other_parameters(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters that were given, strengths apart."""
    names = {kind.strength for kind in SAMPLERS.values()}
    return {name: value for name, value in given.items() if name not in names and value is not None}

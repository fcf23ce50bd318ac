"""Command line options made from dataclasses: one for each field."""

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import wraps
from pathlib import Path
from types import NoneType
from typing import Any, TypeVar, cast, get_args, get_type_hints

import click
import pandas as pd

from ...models import BACKBONES, SAMPLERS
from ...models.formats import SourceOptions
from ...results.csv_text import csv_text
from ...tasks.judges import JUDGES
from ..checkpoint import CheckpointOptions
from ..docstrings import described
from ..questions import QuestionOptions

Command = TypeVar("Command", bound=Callable[..., Any])
_OWN = "Default: the checkpoint's own."


@dataclass(frozen=True)
class ThoughtOptions:
    """Settings of thoughts and answers that commands take, beside the samplers' own.

    Attributes:
        latent_do_sample_by: the sampler.
        latent_length: thoughts of a backbone that thinks a fixed number.
        max_latent_length: most thoughts of a backbone that stops by itself.
        max_new_tokens: thoughts, end marker and answer tokens together.
    """

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
    without: Container[str] = (),
    prefix: str = "",
) -> Callable[[Command], Command]:
    """Return a decorator that adds an option for every field of a dataclass to a command.

    Args:
        kind: the dataclass.
        helps: what --help says of a field.
        choices: the only values of a field.
        default_help: what --help says of the default of every other field, which is then None;
            before it stands what the class's docstring says of the field.
        many: fields that may be given several times.
        without: fields that get no option.
        prefix: of every option's name.
    """
    hints, texts = get_type_hints(kind), described(kind)

    def add(command: Command) -> Command:
        for field in reversed([one for one in fields(kind) if one.name not in without]):
            name = field.name
            one_of = [hint for hint in get_args(hints[name]) if hint is not NoneType]
            chosen = (choices or {}).get(name)
            given: dict[str, Any] = {"multiple": True} if name in many else {}
            if default_help is None and name not in many:
                given = {"default": field.default}
            command = click.option(
                "--" + f"{prefix}{name}".replace("_", "-"),
                f"{prefix}{name}",
                type=click.Choice(chosen) if chosen else (one_of or [hints[name]])[0],
                help=(helps or {}).get(name) or _sentence(texts.get(name), default_help),
                **given,
            )(command)
        return command

    return add


def _sentence(text: str | None, default: str | None) -> str | None:
    if text is None:
        return default
    ended = f"{text[0].upper()}{text[1:].rstrip('.')}."
    return f"{ended} {default}" if default else ended


def _packed(kind: type, name: str, command: Command) -> Command:
    """Let a command take one object in place of the options of a dataclass's fields."""

    @wraps(command)
    def call(*args: Any, **given: Any) -> Any:
        told = {field.name: given.pop(field.name) for field in fields(kind)}
        own = kind(**{key: value for key, value in told.items() if value is not None})
        return command(*args, **{name: own}, **given)

    return cast(Command, call)


def question_options(command: Command) -> Command:
    """Add --task, --questions and what goes with them, which are handed over as `asked`."""
    command = _packed(QuestionOptions, "asked", command)
    for option in (
        click.option(
            "--judge", type=click.Choice(JUDGES),
            help="Of the answers. Default: the task's own, else number.",
        ),
        click.option("--include-path", type=Path, help="Folder of tasks of your own."),
        click.option(
            "--questions", type=Path, help='JSONL of {"id", "question", "answer"} a line.',
        ),
        click.option(
            "--task", "tasks", multiple=True,
            help="A task or group of lm-eval that generates answers; repeatable.",
        ),
    ):  # fmt: skip
        command = option(command)
    return command


def checkpoint_options(command: Command) -> Command:
    """Add what the files of a checkpoint do not say, which is handed over as `checkpoint`."""
    command = _packed(CheckpointOptions, "checkpoint", command)
    return field_options(CheckpointOptions, default_help="")(command)


def measured_options(*, samples: int, problems: int, called: str) -> Callable[[Command], Command]:
    """Return a decorator that adds how many samples of which questions are measured.

    Args:
        samples: N, unless it is given.
        problems: generated ones, unless questions or their number are given.
        called: what --help says of these.
    """

    def add(command: Command) -> Command:
        for option in (
            click.option("--seed", default=0, help="Of problems and samples."),
            question_options,
            click.option("--problems", default=problems, help=called),
            click.option("--num-return-sequences", "samples", default=samples, help="N."),
        ):
            command = option(command)
        return command

    return add


def sampler_options(command: Command) -> Command:
    """Add every sampler's parameters; strengths may be given several times."""
    for kind in reversed(list(SAMPLERS.usable().values())):
        helps = {kind.strength: "A strength to try; repeatable."} if kind.strength else {}
        add = field_options(kind, helps=helps, default_help=_OWN, many={kind.strength})
        command = add(command)
    return command


def thought_options(command: Command) -> Command:
    """Add every setting of thoughts and answers, the samplers' parameters among them."""
    for kind in (*reversed(list(SAMPLERS.usable().values())), ThoughtOptions):
        command = field_options(kind, default_help=_OWN)(command)
    return mixing_options(command)


def mixing_options(command: Command) -> Command:
    """Add the settings of thoughts that are mixtures, each once."""
    found = {kind.mixing for kind in BACKBONES.usable().values() if kind.mixing is not None}
    added: set[str] = set()
    for kind in sorted({type(one) for one in found}, key=lambda kind: len(fields(kind))):
        command = field_options(kind, default_help=_OWN, without=added)(command)
        added |= {field.name for field in fields(kind)}
    return command


def source_options(command: Command) -> Command:
    """Add what the files of training programs do not say."""
    return field_options(SourceOptions, default_help="")(command)


def strengths(given: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield generation settings for each strength that was given."""
    for name, kind in SAMPLERS.usable().items():
        for value in given.get(kind.strength, ()):
            yield {"latent_do_sample_by": name, kind.strength: value}


def other_parameters(given: Mapping[str, Any], chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of the chosen sampler that were given, its strength apart."""
    kind = SAMPLERS[chosen["latent_do_sample_by"]]
    names = [field.name for field in fields(kind) if field.name != kind.strength]
    return {name: given[name] for name in names if given.get(name) is not None}


def save_table(table: pd.DataFrame, output: Path, *, float_format: str | None = None) -> None:
    """Write a table as CSV; one that cannot be written is printed, so that it is not lost.

    Raises:
        OSError: it could not be written.
    """
    text = csv_text(table, float_format=float_format)
    try:
        output.write_text(text, encoding="utf-8")
    except OSError:
        click.echo(text)
        raise

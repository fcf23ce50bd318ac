"""`latent-tts convert`: a checkpoint of a training program becomes one in the released format."""

import shlex
import sys
from pathlib import Path
from typing import Any

import click
import torch

from ...models import ModelError, resolve_checkpoint
from ...models.auto import model_of
from ...models.formats import SourceOptions, open_source, read
from ...models.formats.write import write_released
from . import HELP
from .options import Output, source_options

_DTYPES = ("float32", "bfloat16", "float16")


@click.command(context_settings=HELP)
@click.argument("source")
@click.option("--output", required=True, type=Output(folder=True), help="A new folder.")
@click.option("--revision", default="main", show_default=True, help="Of a hub repository.")
@click.option(
    "--dtype",
    default="float32",
    show_default=True,
    type=click.Choice(_DTYPES),
    help="Of the weights; samples are those of SOURCE in float32 only.",
)
@source_options
def convert(source: str, output: Path, revision: str, dtype: str, **options: Any) -> None:
    """Write the checkpoint SOURCE (a file, a folder or a hub id) in the released format.

    What --model_args call for with SOURCE itself is given here as options of the same names.
    """
    found = open_source(resolve_checkpoint(source), revision)
    if found is None:
        raise ModelError(f"{source!r} is in the released format already, or is no checkpoint.")
    checkpoint = read(found, SourceOptions(**options))
    for fact in checkpoint.found:
        click.echo(fact)
    for pattern in checkpoint.left_out:
        click.echo(f"left out: {pattern}")
    model = model_of(checkpoint, source, dtype=getattr(torch, dtype))
    command = shlex.join(["latent-tts", "convert", *sys.argv[2:]])
    write_released(model, checkpoint, output, source=source, command=command)
    click.echo(output)

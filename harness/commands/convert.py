"""`latent-tts convert`: a checkpoint of a training program becomes one in the released format."""

import shlex
import sys
from pathlib import Path
from typing import Any

import click
import torch

from ...models import AutoLatentModel, ModelError
from ...models.described import described
from ...models.formats import SourceOptions
from ...models.formats.write import check_new, write_released
from ...models.origin import RELEASED
from . import HELP
from .options import source_options
from .output import Output

_DTYPES = ("float32", "bfloat16", "float16")


@click.command(context_settings=HELP)
@click.argument("source")
@click.option("--output", required=True, type=Output(folder=True), help="A new folder.")
@click.option("--revision", default="main", help="Of a hub repository.")
@click.option("--adapter", help="Folder or hub id of a peft adapter of SOURCE, to be merged.")
@click.option("--ignore-weights", default="", help="Weights to leave out, joined by +.")
@click.option(
    "--dtype",
    default="float32",
    type=click.Choice(_DTYPES),
    help="Of the weights; samples are those of SOURCE in float32 only.",
)
@source_options
def convert(
    source: str,
    output: Path,
    revision: str,
    adapter: str | None,
    ignore_weights: str,
    dtype: str,
    **options: Any,
) -> None:
    """Write the checkpoint SOURCE (a file, a folder or a hub id) in the released format.

    What --model_args call for with SOURCE itself is given here as options of the same names.
    """
    check_new(output)
    model = AutoLatentModel.from_pretrained(
        source,
        adapter=adapter,
        source=SourceOptions(**options),
        revision=revision,
        ignore_weights=ignore_weights or (),
        dtype=getattr(torch, dtype),
    )
    if model.origin.layout == RELEASED and adapter is None:
        raise ModelError(f"{source!r} is in the released format already: nothing to convert.")
    facts = described(model)
    for fact in facts:
        click.echo(fact)
    command = shlex.join(["latent-tts", "convert", *sys.argv[2:]])
    write_released(model, output, facts=facts, source=source, command=command)
    click.echo(output)

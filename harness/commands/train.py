"""`latent-tts train`: a checkpoint from its recipe."""

import logging
from pathlib import Path
from typing import Any

import click

from ...models import SAMPLERS
from ...models.training import OBJECTIVES, Lora, Plan
from ...results.reports.table import plus_minus
from ..training.recipe import TRAINED, read_recipe
from ..training.run import train_recipe
from . import HELP
from .options import field_options
from .output import Output

_RECIPE = "Default: the recipe's."


def _setting_options(command: Any) -> Any:
    """Add an option for every number and name of a recipe."""
    for kind in reversed(list(SAMPLERS.usable().values())):
        command = field_options(kind, default_help=_RECIPE, prefix=TRAINED)(command)
    for kind in (*reversed(list(OBJECTIVES.values())), Lora, Plan):
        command = field_options(kind, default_help=_RECIPE)(command)
    return command


@click.command(context_settings=HELP)
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option(
    "--output",
    type=Output(folder=True),
    help="Folder of the checkpoint; the recipe's name if not given.",
)
@click.option("--base", help=f"Folder, hub id or name of the model to start from. {_RECIPE}")
@click.option("--adapter", help=f"Folder of adapters to go on from. {_RECIPE}")
@click.option("--data", multiple=True, help=f"File to learn from; repeatable. {_RECIPE}")
@click.option("--validation", multiple=True, help=f"File to measure on; repeatable. {_RECIPE}")
@click.option("--validation-count", type=int, help=f"Most questions of it. {_RECIPE}")
@_setting_options
def train(recipe: Path, output: Path | None, **overrides: Any) -> None:
    """Train a model by RECIPE, a YAML file such as recipes/tiny-codi.yaml.

    Running the same command again goes on where an interrupted run stopped.
    """
    logging.basicConfig(level=logging.INFO)
    chosen = read_recipe(recipe, overrides)
    folder = output or Output(folder=True).convert(chosen.name, None, None)
    final = train_recipe(chosen, folder)
    if final:
        found = plus_minus(final["accuracy"], final["stderr"], in_percent=False)
        click.echo(f"Validation accuracy {found} (n = {final['n']:.0f}).")

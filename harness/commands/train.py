"""`latent-tts train`: the recipes that make the checkpoints that ship."""

import logging
from pathlib import Path
from typing import Any

import click

from ..recipe import Recipe
from ..train import train_coconut
from . import HELP
from .options import field_options


@click.group(context_settings=HELP)
def train() -> None:
    """Train a backbone by the recipe that made a shipped checkpoint."""


@train.command()
@click.option("--output", required=True, type=click.Path(path_type=Path), help="Checkpoint folder.")
@click.option("--save-steps", default=1000, show_default=True, help="Updates between checkpoints.")
@click.option("--workers", default=0, show_default=True, help="Processes that prepare batches.")
@click.option("--stop-after", default=None, help="Stop when this stage is done, to go on later.")
@field_options(Recipe)
def coconut(
    output: Path, save_steps: int, workers: int, stop_after: str | None, **choices: Any
) -> None:
    """Train a tiny COCONUT on generated word problems: explicit steps, then thoughts.

    Running the same command again goes on where an interrupted run stopped; once all stages are
    done it only writes the checkpoint again.
    """
    logging.basicConfig(level=logging.INFO)
    recipe = Recipe(**choices)
    names = [stage.name for stage in recipe.stages()]
    if stop_after not in (None, *names):
        raise click.BadParameter(
            f"{stop_after!r} is no stage; there are {', '.join(names)}.", param_hint="--stop-after"
        )
    train_coconut(recipe, output, save_steps=save_steps, workers=workers, stop_after=stop_after)

"""`latent-tts leaderboard`: a web page, a table and pictures of all runs."""

import os
from collections.abc import Sequence
from pathlib import Path

import click

from ...results.reports.board import build_board
from . import HELP
from .output import Output


@click.command(context_settings=HELP)
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="DIR…")
@click.option(
    "--output",
    required=True,
    type=Output(folder=True),
    help="Folder for index.html, leaderboard.md, leaderboard.csv and the pictures.",
)
@click.option(
    "--processes",
    type=click.IntRange(min=1),
    default=os.cpu_count() or 1,
    show_default="one a core",
    help="How many sample logs are read at the same time.",
)
def leaderboard(runs: Sequence[Path], output: Path, processes: int) -> None:
    """Write a leaderboard of all runs under the folders DIR.

    Runs are what `lm_eval --model latent_tts … --log_samples --output_path DIR` writes. Open
    index.html in a browser; it needs no server and no network.
    """
    board = build_board(runs, output, processes=processes)
    for problem in board.problems:
        click.echo(f"{'left out' if problem.skipped else 'note'}: {problem}", err=True)
    count = len(board.rows.groupby(["run", "task"]))
    click.echo(f"{output / 'index.html'}: {count} runs, {len(board.problems)} problems")

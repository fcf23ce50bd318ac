"""`latent-tts curve`: coverage and voting accuracy against N, as a table and a picture."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click
import pandas as pd

from ...results import ResultsError, collect, curve_table
from ...results.reports.charts import curve_chart, save
from ...results.reports.table import plain
from ...results.runs.lm_eval_files import writing
from . import HELP
from .output import Output


@click.command(context_settings=HELP)
@click.argument("runs", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--task", default="latent_tts_arith", help="The task to show.")
@click.option("--output", required=True, type=Output(folder=False), help="PNG or SVG.")
def curve(runs: Sequence[Path], task: str, output: Path) -> None:
    """Draw coverage and voting accuracy against N of lm_eval runs with --log_samples.

    RUNS are their --output_path folders; a folder's name is its line's name.
    """
    if output.suffix not in (".png", ".svg"):
        raise ResultsError(f"--output {str(output)!r} must end in .png or .svg.")
    tables = []
    for folder in runs:
        found, problems = collect([folder])
        own = [run for run in found if run.task == task]
        if not own:
            reasons = "; ".join(map(str, problems)) or f"it has {', '.join(r.task for r in found)}"
            raise ResultsError(
                f"{str(folder)!r} holds no run of {task} that can be used: {reasons}. Name another "
                "--task or folder."
            )
        tables.append(curve_table(replace(own[-1], name=folder.name)))
    table = pd.concat(tables, ignore_index=True)
    click.echo(plain(table, index=False))
    with writing(output):
        output.parent.mkdir(parents=True, exist_ok=True)
        save(curve_chart(table), [output])

"""`latent-tts claims`: sentences about runs, tested together, as one report."""

from pathlib import Path

import click

from ...results.reports.claims import find_runs, judge_claims, read_claims
from ...results.runs.lm_eval_files import writing
from ..claims_report import write_report
from . import HELP
from .output import Output
from .problems import tell


@click.command(context_settings=HELP)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--output", required=True, type=Output(folder=True), help="Folder of the report.")
@click.option(
    "--runs",
    "folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder that FILE's runs are seen from. Default: FILE's own.",
)
@click.option(
    "--store",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Store of the runs' thoughts, whose distances are shown too.",
)
@click.option("--alpha", default=0.05, help="Largest adjusted p that shows.")
def claims(file: Path, output: Path, folder: Path | None, store: Path | None, alpha: float) -> None:
    """Test the sentences in FILE against the runs that it names.

    FILE is a YAML: `runs` (a name and an --output_path folder each) and `claims`, each with `says`
    (the sentence), `a` and `b` (run and metric of the two numbers), `expects: higher` or `lower`,
    `equal: samples` or `flops` where k is to follow from what both spend, and `tasks` if not all.
    `title` and `about` (Markdown) stand above; `board` and `planes` name the runs that are shown,
    if not all. The folder gets claims.md, claims.csv, the table of all runs as board.md and a
    picture of the curves of each task. With --store (of runs with store_thoughts=true) it gets how
    far the thoughts of each run lie apart too, a picture of that against coverage, and thoughts of
    right and wrong samples in a plane.
    """
    wanted = read_claims(file)
    runs, problems = find_runs(wanted, folder or file.parent)
    tell(problems)
    findings = judge_claims(wanted.claims, runs, alpha=alpha)
    with writing(output):
        text = write_report(wanted, runs, findings, alpha=alpha, store=store, output=output)
    click.echo(text)

"""`latent-tts judge`: a run's answers judged again, without sampling."""

from collections.abc import Sequence
from pathlib import Path

import click

from ...results.rewritten import Judging, rewrite
from ...results.runs import runs_by_task
from ...tasks.judges import JUDGES
from . import HELP
from .output import Output
from .problems import tell


@click.command(context_settings=HELP)
@click.argument("run", type=click.Path(exists=True, path_type=Path))
@click.option("--output", required=True, type=Output(folder=True), help="Run folder to write.")
@click.option("--k", "ks", multiple=True, type=int, help="Sample counts; repeatable.")
@click.option("--tolerance", help="From the gold answer; the run's own if not given.")
@click.option("--judge", type=click.Choice(JUDGES), help="The run's own if not given.")
@click.option("--read-answers", is_flag=True, help="Read the answers from the texts anew.")
def judge(
    run: Path,
    output: Path,
    ks: Sequence[int],
    tolerance: str | None,
    judge: str | None,
    read_answers: bool,
) -> None:
    """Judge the candidates of RUN again: other ks, another tolerance, judge or reader of answers.

    RUN is the --output_path folder of an lm_eval run with --log_samples, or its results file. What
    is written is a run like any other, with the metrics of every strategy that is installed.
    """
    by_task, problems = runs_by_task(run)
    tell(problems)
    click.echo(rewrite(by_task, output, Judging(ks, tolerance, judge, read_answers)))

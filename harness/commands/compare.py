"""`latent-tts compare`: two runs, or one run's strategies, on the same questions."""

import json
from collections.abc import Sequence
from pathlib import Path

import click

from ...results import ResultsError
from ...results.reports.compare import as_json, as_text, compare_sides
from ...results.runs import build_sides, runs_by_task
from ...results.runs.align import group_by_setup
from ...results.runs.collect import shared_tasks, with_own_names
from ...results.runs.lm_eval_files import writing
from . import HELP
from .problems import tell


@click.command(context_settings=HELP)
@click.argument("runs", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--k", "ks", multiple=True, type=int, help="A further sample count; repeatable.")
@click.option("--confidence", default=0.95, show_default=True, help="Of the intervals.")
@click.option("--json", "output", type=click.Path(path_type=Path), help="Also write this file.")
def compare(
    runs: Sequence[Path], ks: Sequence[int], confidence: float, output: Path | None
) -> None:
    """Compare two runs, or one run's strategies, on the same questions.

    RUNS are --output_path folders of lm_eval runs with --log_samples, or their results files. Two
    runs are A and B. Of more, those that differ in their seed alone are one side, which counts by
    its mean over seeds. Differences are A − B, with bootstrap intervals over questions; "only A"
    and "only B" count questions that one side alone has right, p is McNemar's exact one. The noise
    between seeds: "spread" is the standard deviation of a run's mean, "paired_spread" that of the
    difference between two runs.
    """
    loaded = []
    for path in runs:
        by_task, problems = runs_by_task(path)
        tell(problems)
        loaded.append(by_task)
    loaded = with_own_names(loaded, runs)
    tasks, others = shared_tasks(loaded)
    for task in others:
        click.echo(f"note: {task} was not run on all sides.", err=True)
    comparisons = []
    for task in tasks:
        members = [by_task[task] for by_task in loaded]
        groups = [[run] for run in members] if len(members) == 2 else group_by_setup(members)
        if len(groups) > 2:
            raise ResultsError(
                f"The runs of {task} have {len(groups)} different settings, "
                f"{', '.join(group[0].name for group in groups)}; compare two at a time. More runs "
                "than two must differ from these in their seed alone."
            )
        comparisons.append(compare_sides(build_sides(groups, ks=ks), confidence=confidence))
    click.echo("\n\n".join(map(as_text, comparisons)))
    if output:
        text = json.dumps([as_json(comparison) for comparison in comparisons], indent=2)
        with writing(output):
            output.parent.mkdir(parents=True, exist_ok=True)
            output.write_text(f"{text}\n", encoding="utf-8")

"""`latent-tts compare`: two runs, or one run's strategies, on the same questions."""

import json
from collections.abc import Sequence
from pathlib import Path

import click

from ...results import ResultsError
from ...results.reports.compare import compare_metrics, compare_sides
from ...results.reports.compare_text import as_json, as_text
from ...results.reports.comparison import Comparison
from ...results.runs import Run, build_sides, runs_by_task
from ...results.runs.align import group_by_setup
from ...results.runs.collect import shared_tasks, with_own_names
from ...results.runs.lm_eval_files import writing
from ...results.runs.metrics import k_of
from . import HELP
from .output import Output
from .problems import tell


@click.command(context_settings=HELP)
@click.argument("runs", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--a", "first", metavar="METRIC", help="Of the first run; all metrics if not given.")
@click.option("--b", "second", metavar="METRIC", help="Of the second run, or of the same.")
@click.option("--k", "ks", multiple=True, type=int, help="A further sample count; repeatable.")
@click.option("--confidence", default=0.95, help="Of the intervals.")
@click.option("--json", "output", type=Output(folder=False), help="Also write this file.")
def compare(
    runs: Sequence[Path],
    first: str | None,
    second: str | None,
    ks: Sequence[int],
    confidence: float,
    output: Path | None,
) -> None:
    """Compare two runs, or one run's strategies, on the same questions.

    RUNS are --output_path folders of lm_eval runs with --log_samples, or their results files. Two
    runs are A and B. Of more, those that differ in their seed alone are one side, which counts by
    its mean over seeds, and a third side may be deterministic (latent_do_sample=false): the
    strategies of both others are held against its answers. --a and --b choose one metric each, of
    two runs or of one: `compare RUN --a voting@16 --b pass@1`; a strategy's name alone means all
    candidates. Differences are A − B; their intervals over questions (Bonett and Price's) and
    those of scores (Wilson's) have a width even where no question differs. "only A" and "only B"
    count questions that one side alone has right, p is McNemar's exact one. The noise between
    seeds: "spread" is the standard deviation of a run's mean, "paired_spread" that of the
    difference between two runs.
    """
    if first or second:
        runs = list(dict.fromkeys(runs))
    loaded = []
    for path in runs:
        by_task, problems = runs_by_task(path)
        tell(problems)
        loaded.append(by_task)
    loaded = with_own_names(loaded, runs)
    tasks, others = shared_tasks(loaded)
    for task in others:
        click.echo(f"note: {task} was not run on all sides.", err=True)
    pair = (first or second, second or first)
    comparisons = [
        _compare([by_task[task] for by_task in loaded], pair, ks=ks, confidence=confidence)
        for task in tasks
    ]
    click.echo("\n\n".join(map(as_text, comparisons)))
    if output:
        text = json.dumps([as_json(comparison) for comparison in comparisons], indent=2)
        with writing(output):
            output.parent.mkdir(parents=True, exist_ok=True)
            output.write_text(f"{text}\n", encoding="utf-8")


def _compare(
    members: Sequence[Run],
    metrics: tuple[str | None, str | None],
    *,
    ks: Sequence[int],
    confidence: float,
) -> Comparison:
    """Compare the runs of one task, or a metric of each side."""
    groups = [[run] for run in members] if len(members) == 2 else group_by_setup(members)
    a, b = metrics
    steady = [group for group in groups if group[0].config.deterministic]
    if len(groups) == 3 and len(steady) == 1 and a is None:
        groups = [group for group in groups if group not in steady] + steady
    elif len(groups) > 2:
        raise ResultsError(
            f"The runs of {members[0].task} have {len(groups)} different settings, "
            f"{', '.join(group[0].name for group in groups)}; compare two at a time, and a "
            "deterministic one beside them. More runs must differ from these in their seed alone."
        )
    if a is None or b is None:
        further = [ks, ks, ()][: len(groups)]
        sides = build_sides(groups, ks=further)
        steady_side = sides[2] if len(sides) == 3 else None
        return compare_sides(sides[:2], deterministic=steady_side, confidence=confidence)
    if len(groups) == 1:
        if a == b:
            raise ResultsError(
                f"{groups[0][0].name} is the only side, so {a} would be compared with itself. Name "
                "another --b, or a second run."
            )
        sides = build_sides(groups, ks=[[*k_of(a), *k_of(b), *ks]])
    else:
        sides = build_sides(groups, ks=[[*k_of(a), *ks], [*k_of(b), *ks]])
    return compare_metrics(sides, a, b, confidence=confidence)

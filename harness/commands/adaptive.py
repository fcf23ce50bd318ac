"""`latent-tts adaptive`: what stopping rules would have saved, replayed on a run's pools."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from ...results.reports.adaptive import Replayed, replay, together
from ...results.reports.adaptive_text import as_json, as_text
from ...results.runs import Run, read_log, runs_by_task
from ...results.runs.lm_eval_files import writing
from ...tasks.stopping import STOPPING_RULES, StoppingRule, read_rule
from ...tasks.stopping.priors import shapes_of, write_shapes
from . import HELP
from .output import Output
from .problems import tell

DEFAULT_RULES = (
    *(f"adaptive_consistency:threshold={share}" for share in (0.8, 0.9, 0.95, 0.99)),
    "adaptive_consistency:criterion=dirichlet",
    *(f"esc:window={window}" for window in (4, 5, 8)),
    *(f"bayes:threshold={share}" for share in (0.8, 0.95)),
    "cges",
)


@click.command(context_settings=HELP)
@click.argument(
    "runs", metavar="RUN…", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path)
)
@click.option("--task", "tasks", multiple=True, help="A task of the run; repeatable; all else.")
@click.option(
    "--rule",
    "rules",
    multiple=True,
    metavar="NAME:PARAMETER=VALUE,…",
    help=f"{', '.join(STOPPING_RULES)}; repeatable. Default: each with usual parameters.",
)
@click.option("--max", "most", type=click.IntRange(1), help="Samples of a question; all else.")
@click.option(
    "--orders", default=1, type=click.IntRange(1),
    help="Average over so many orders of the samples: the run's own, and random ones.",
)  # fmt: skip
@click.option("--seed", default=0, help="Of the random orders.")
@click.option("--confidence", default=0.95, help="Of the intervals.")
@click.option("--json", "output", type=Output(folder=False), help="Also write this file.")
@click.option(
    "--write-prior", "prior", type=Output(folder=False),
    help="Write how this run's answers are distributed, for bayes:prior=FILE, and end.",
)  # fmt: skip
def adaptive(
    runs: Sequence[Path],
    tasks: Sequence[str],
    rules: Sequence[str],
    most: int | None,
    orders: int,
    seed: int,
    confidence: float,
    output: Path | None,
    prior: Path | None,
) -> None:
    """Replay rules by which sampling stops early on the pools of RUN.

    RUN is the --output_path folder of an lm_eval run with --log_samples, or its results file. Of
    each rule: samples spent on a question, how many times fewer that is than the full vote spends,
    the share of questions that were settled early, accuracy in per cent, and its paired difference
    from the full vote on the same samples with its interval in points; last, on the questions of
    all tasks and runs together, as if they were all different. Sample i is the same whatever N, so
    a run that stops by the rule (stop= in --model_args) has these numbers.
    """
    chosen = [(run, one) for run in runs for one in _chosen(tasks, run)]
    if prior is not None:
        shapes = shapes_of(line.pool() for _, own in chosen for line in read_log(own))
        with writing(prior):
            prior.parent.mkdir(parents=True, exist_ok=True)
            write_shapes(shapes, prior)
        return
    every: list[list[Replayed]] = []
    for run, own in chosen:
        found = replay(
            own, _rules(rules, own), most=most, orders=orders, seed=seed, confidence=confidence
        )
        named = f"{run}: " if len(runs) > 1 else ""
        click.echo(f"{named}{as_text(found)}\n")
        every.append(found)
    if len({(len(found), found[0].most) for found in every}) == 1 < len(every):
        every.append(together(every, confidence=confidence))
        click.echo(as_text(every[-1]))
    if output:
        rows = [row for found in every for row in as_json(found)]
        with writing(output):
            output.parent.mkdir(parents=True, exist_ok=True)
            output.write_text(f"{json.dumps(rows, indent=2)}\n", encoding="utf-8")


def _chosen(tasks: Sequence[str], run: Path) -> Iterator[Run]:
    by_task, problems = runs_by_task(run)
    tell(problems)
    for task in tasks or by_task:
        if task not in by_task:
            raise click.UsageError(f"{run} has no run of {task}; it has {', '.join(by_task)}.")
        yield by_task[task]


def _rules(given: Sequence[str], run: Run) -> list[StoppingRule]:
    """Return the rules that were asked for, else those of the usual ones that fit the run."""
    scored = run.config.reward_model is not None
    rules = [read_rule(text) for text in given or DEFAULT_RULES]
    return [rule for rule in rules if given or scored or not rule.needs]

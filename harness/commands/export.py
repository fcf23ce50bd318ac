"""`latent-tts export`: a run in the formats of other programs."""

from pathlib import Path

import click
from click.core import ParameterSource

from ...results.errors import ResultsError
from ...results.export import (
    RELATIONS,
    Publisher,
    lines_of,
    write_eval_result,
    write_record,
    write_scorio,
)
from ...results.runs import Run
from ...results.runs.collect import runs_by_task
from . import HELP
from .problems import tell

# Format -> the options that it alone reads.
FORMATS = {
    "scorio": {"candidates"},
    "every_eval_ever": {"model", "organization", "relation"},
    "eval_results": {"dataset", "task_id", "metric", "percent", "source_url"},
}


@click.command(context_settings=HELP)
@click.argument("run_folder", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--to", "form", required=True, type=click.Choice(list(FORMATS)), help="The format.")
@click.option("--output", required=True, type=click.Path(path_type=Path), help="See above.")
@click.option("--task", help="Which task of the run, where it has several.")
@click.option("--candidates", type=click.IntRange(min=1), help="scorio: the first ones alone.")
@click.option("--model", help="every_eval_ever: the model as it is published, org/name.")
@click.option("--organization", help="every_eval_ever: who made the evaluation.")
@click.option("--relation", type=click.Choice(RELATIONS), help="every_eval_ever: to the model.")
@click.option("--dataset", help="eval_results: the benchmark on the hub, where the task has none.")
@click.option("--task-id", help="eval_results: the task in the benchmark's eval.yaml.")
@click.option("--metric", default="voting", help="eval_results: the value.")
@click.option("--percent", is_flag=True, help="eval_results: in percent, not as a share.")
@click.option("--source-url", help="eval_results: where the run can be read.")
def export(
    run_folder: Path,
    form: str,
    output: Path,
    task: str | None,
    candidates: int | None,
    model: str | None,
    organization: str | None,
    relation: str | None,
    dataset: str | None,
    task_id: str | None,
    metric: str,
    percent: bool,
    source_url: str | None,
) -> None:
    """Write a RUN for another program.

    scorio: OUTPUT is a file, .npz (outcomes, votes, scores) or .npy (outcomes alone), with a .json
    of the same name beside it. every_eval_ever: OUTPUT is the folder that holds data/.
    eval_results: OUTPUT is the folder of the model's repository; .eval_results/ is made in it.
    """
    _check_options(form)
    run = _chosen(run_folder, task)
    there = run.config.samples
    if candidates is not None and there is not None and candidates > there:
        raise ResultsError(
            f"--candidates {candidates}: {str(run_folder)!r} has {there} for each question. Give "
            "no more."
        )
    if form == "scorio":
        path = write_scorio(
            lines_of(run, candidates),
            output,
            judge=run.judge,
            tolerance=run.tolerance,
            seed=run.config.seed,
            task=run.task,
            model=run.config.checkpoint,
        )
    elif form == "every_eval_ever":
        publisher = Publisher(
            model=_needed(model, "--model", "org/name, as it is published"),
            organization=_needed(organization, "--organization", "who made the evaluation"),
            relation=_needed(relation, "--relation", ", ".join(RELATIONS)),
        )
        path = write_record(run, lines_of(run), output, publisher=publisher)
    else:
        path = write_eval_result(
            run,
            output,
            task_id=_needed(task_id, "--task-id", "the task's id in the benchmark's eval.yaml"),
            dataset=dataset,
            metric=metric,
            percent=percent,
            source_url=source_url,
        )
    click.echo(path)


def _check_options(form: str) -> None:
    """Raise ResultsError for an option of another format, which nobody would read."""
    context = click.get_current_context()
    for other, options in FORMATS.items():
        for name in sorted(options if other != form else ()):
            if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
                own = ", ".join(_flag(each) for each in sorted(FORMATS[form]))
                raise ResultsError(
                    f"{_flag(name)} is of --to {other}; --to {form} reads --task and {own}. Leave "
                    "it out."
                )


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _chosen(folder: Path, task: str | None) -> Run:
    runs, problems = runs_by_task(folder)
    tell(problems)
    if task is None and len(runs) == 1:
        return next(iter(runs.values()))
    if task is None or task not in runs:
        what = "several tasks" if task is None else f"no task {task!r}"
        raise ResultsError(f"{str(folder)!r} has {what}. Choose --task {' or '.join(runs)}.")
    return runs[task]


def _needed(value: str | None, option: str, what: str) -> str:
    if value is None:
        raise ResultsError(f"{option} is needed for this format and stands in no run: {what}.")
    return value

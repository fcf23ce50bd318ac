"""`latent-tts sweep`: runs over lists of settings, or how strong a sampler should be."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import pandas as pd
from click.core import ParameterSource
from tqdm import tqdm

from ...models import SAMPLERS, LatentSettings, tokenizer_of
from ...results.reports.board import build_board
from ...tasks import Question
from ..checkpoint import CheckpointOptions
from ..questions import QuestionOptions
from ..sample import sampled_metrics
from ..sweeps import find_points, read_sweep, run_sweep, submit_sweep
from . import HELP
from .options import (
    checkpoint_options,
    measured_options,
    other_parameters,
    sampler_options,
    save_table,
    strengths,
)
from .output import Output


@click.command(context_settings=HELP)
@click.argument("file", required=False, type=click.Path(exists=True, path_type=Path))
@click.option("--processes", default=1, type=click.IntRange(1), help="Runs at a time.")
@click.option(
    "--slurm",
    metavar="CLUSTER",
    help="Hand FILE's runs to submitit: `slurm`, or `local` for processes on this machine.",
)
@click.option("--pretrained", default="tiny-coconut", help="Checkpoint.")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder of FILE's runs; without FILE the CSV to write.",
)
@checkpoint_options
@sampler_options
@measured_options(samples=16, problems=500, called="Validation problems, unless others are given.")
@click.pass_context
def sweep(
    context: click.Context,
    file: Path | None,
    processes: int,
    slurm: str | None,
    pretrained: str,
    output: Path,
    samples: int,
    problems: int,
    seed: int,
    asked: QuestionOptions,
    checkpoint: CheckpointOptions,
    **sampling: Any,
) -> None:
    """Run lm-eval over lists of settings, or try sampler strengths on validation problems.

    FILE is a YAML: `tasks`, a list; `settings`, what --model_args takes, each one value or a list,
    of which all combinations are run; `flags` of lm_eval, such as `limit`. Each point is an
    ordinary run below OUTPUT/runs, with its log; points that share candidates sample them once;
    repeated, the command goes on; at the end OUTPUT/board is the leaderboard of all.

    Without FILE, pass@1, coverage and voting are measured over sampler strengths, on validation
    problems. A strength that is chosen on a test's questions makes its numbers too high.
    """
    flag = next(param for param in context.command.params if param.name == "output")
    output = Output(folder=file is not None).convert(output, flag, context)
    if file is not None:
        _refuse_others(context, ("file", "processes", "slurm", "output"))
        return _run_file(file, output, processes, slurm)
    tried = list(strengths(sampling))
    if not tried:
        flags = " or ".join(
            "--" + kind.strength.replace("_", "-") for kind in SAMPLERS.usable().values()
        )
        raise click.UsageError(f"Nothing to try: give {flags} at least once.")
    questions = asked.load_or_generate(problems, seed=seed)
    model = checkpoint.load(pretrained)
    tokenizer = tokenizer_of(model)
    runs = [model.settings(latent_do_sample=False, num_return_sequences=1, seed=seed)]
    shared = {"latent_do_sample": True, "num_return_sequences": samples, "seed": seed}
    runs += [model.settings(**shared, **other_parameters(sampling, own), **own) for own in tried]
    rows = []
    output.parent.mkdir(parents=True, exist_ok=True)
    for settings in tqdm(runs, desc="Settings"):
        rows.append(_measure(model, tokenizer, questions, settings))
        # Written after every setting, so that an interrupted sweep has what it measured.
        save_table(pd.DataFrame(rows), output)
    click.echo(pd.DataFrame(rows).to_string(index=False))


def _refuse_others(context: click.Context, read: Sequence[str]) -> None:
    """Refuse flags of the other use of the command."""
    for name in context.params:
        if name not in read and context.get_parameter_source(name) is not ParameterSource.DEFAULT:
            raise click.UsageError(
                f"--{name.replace('_', '-')} has no meaning beside FILE; write it into FILE."
            )


def _run_file(file: Path, output: Path, processes: int, slurm: str | None) -> None:
    found = read_sweep(file)
    points = find_points(found)
    if slurm is None:
        ended = run_sweep(points, output, processes=processes)
    else:
        ended = submit_sweep(points, output, cluster=slurm, options=found.slurm)
    for name in tqdm(ended, total=len(points), desc="Runs"):
        click.echo(name)
    board = build_board([output / "runs"], output / "board")
    click.echo(f"{len(points)} runs: {board.folder / 'index.html'}")


def _measure(
    model: Any, tokenizer: Any, questions: Sequence[Question], settings: LatentSettings
) -> dict[str, Any]:
    """Return a row of the table: the setting, and metrics with their standard errors."""
    frame = sampled_metrics(model, tokenizer, questions, settings)
    count, own = settings.num_return_sequences, asdict(settings.sampler)
    row: dict[str, Any] = {
        "sampler": settings.sampler.name,
        "strength": own.pop(settings.sampler.strength, 0.0),
        "parameters": " ".join(f"{name}={value}" for name, value in own.items()),
        "N": count,
        "problems": len(questions),
        "seed": settings.seed,
    }
    metrics = {"coverage": f"coverage@{count}", "voting": f"voting@{count}"}
    for name in ("pass@1", "coverage", "voting", "unparsed"):
        values = frame[metrics.get(name, name)]
        row |= {name: round(values.mean(), 4), f"{name}_stderr": round(values.sem(), 4)}
    return row

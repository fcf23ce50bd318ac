"""`latent-tts sweep`: how strong should a sampler be? Asked of validation problems only."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import pandas as pd
from tqdm import tqdm

from ...models import SAMPLERS, AutoLatentModel, LatentSettings, tokenizer_of
from ...tasks import Question
from ..questions import arith_questions, asked_questions
from ..sample import sampled_metrics
from . import HELP
from .options import (
    other_parameters,
    question_options,
    sampler_options,
    save_table,
    strengths,
)
from .output import Output


@click.command(context_settings=HELP)
@click.option("--pretrained", default="tiny-coconut", show_default=True, help="Checkpoint.")
@click.option("--output", type=Output(folder=False), required=True, help="CSV to write.")
@sampler_options
@click.option("--num-return-sequences", "samples", default=16, show_default=True, help="N.")
@click.option(
    "--problems",
    default=500,
    show_default=True,
    help="Validation problems, unless others are given.",
)
@question_options
@click.option("--seed", default=0, show_default=True, help="Of problems and samples.")
def sweep(
    pretrained: str,
    output: Path,
    samples: int,
    problems: int,
    seed: int,
    tasks: tuple[str, ...],
    questions: Path | None,
    include_path: Path | None,
    judge: str | None,
    **sampling: Any,
) -> None:
    """Measure pass@1, coverage and voting over sampler strengths, on validation problems.

    A strength that is chosen on a test's questions makes its numbers too high: give others.
    """
    tried = list(strengths(sampling))
    if not tried:
        flags = " or ".join(
            "--" + kind.strength.replace("_", "-") for kind in SAMPLERS.usable().values()
        )
        raise click.UsageError(f"Nothing to try: give {flags} at least once.")
    asked = asked_questions(tasks, questions, include_path, judge) or {
        "": arith_questions("validation", problems, hard_share=0, seed=seed)
    }
    every = [question for own in asked.values() for question in own]
    model = AutoLatentModel.from_pretrained(pretrained)
    tokenizer = tokenizer_of(model)
    runs = [model.settings(latent_do_sample=False, num_return_sequences=1, seed=seed)]
    shared = {"latent_do_sample": True, "num_return_sequences": samples, "seed": seed}
    runs += [model.settings(**shared, **other_parameters(sampling, own), **own) for own in tried]
    rows = []
    output.parent.mkdir(parents=True, exist_ok=True)
    for settings in tqdm(runs, desc="Settings"):
        rows.append(_measure(model, tokenizer, every, settings))
        # Written after every setting, so that an interrupted sweep has what it measured.
        save_table(pd.DataFrame(rows), output)
    click.echo(pd.DataFrame(rows).to_string(index=False))


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

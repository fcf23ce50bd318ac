"""`latent-tts sweep`: how strong should a sampler be? Asked of validation problems only."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import pandas as pd
from tqdm import tqdm

from ..models import SAMPLERS, AutoLatentModel, LatentSettings, load_tokenizer
from ..tasks import Pool, pool_metrics
from ..tasks.arith import Problem, generate
from .sample import sample_pools
from .sampler_options import other_parameters, sampler_options, strengths


@click.command()
@click.option("--pretrained", default="tiny-coconut", show_default=True, help="Checkpoint.")
@click.option("--output", type=click.Path(path_type=Path), required=True, help="CSV to write.")
@sampler_options(many=True)
@click.option("--num-return-sequences", "samples", default=16, show_default=True, help="N.")
@click.option("--problems", default=500, show_default=True, help="Validation problems.")
@click.option("--seed", default=0, show_default=True, help="Of problems and samples.")
def sweep(
    pretrained: str,
    output: Path,
    samples: int,
    problems: int,
    seed: int,
    **sampling: Any,
) -> None:
    """Measure pass@1, coverage and voting over sampler strengths, on validation problems."""
    tried = list(strengths(sampling))
    if not tried:
        flags = " or ".join("--" + kind.strength.replace("_", "-") for kind in SAMPLERS.values())
        raise click.UsageError(f"Nothing to try: give {flags} at least once.")
    model = AutoLatentModel.from_pretrained(pretrained)
    tokenizer = load_tokenizer(pretrained)
    questions = list(generate(split="validation", count=problems, seed=seed))
    runs = [model.settings(latent_do_sample=False, num_return_sequences=1, seed=seed)]
    for strength in tried:
        given = {**other_parameters(sampling), **strength}
        runs.append(
            model.settings(latent_do_sample=True, num_return_sequences=samples, seed=seed, **given)
        )
    rows = []
    output.parent.mkdir(parents=True, exist_ok=True)
    for settings in tqdm(runs, desc="Settings"):
        rows.append(_row(model, tokenizer, questions, settings))
        # Written after every setting, so that an interrupted sweep has what it measured.
        pd.DataFrame(rows).to_csv(output, index=False)
    click.echo(pd.DataFrame(rows).to_string(index=False))


def _row(
    model: Any, tokenizer: Any, problems: Sequence[Problem], settings: LatentSettings
) -> dict[str, Any]:
    pools = sample_pools(model, tokenizer, [problem.question for problem in problems], settings)
    count, own = settings.num_return_sequences, asdict(settings.sampler)
    row: dict[str, Any] = {
        "sampler": settings.sampler.name,
        "strength": own.pop(settings.sampler.strength, 0.0),
        "parameters": " ".join(f"{name}={value}" for name, value in own.items()),
        "N": count,
        "problems": len(problems),
        "seed": settings.seed,
    }
    frame = pd.DataFrame(_metrics(pools, problems, count))
    for name in frame:
        row[name] = round(frame[name].mean(), 4)
        row[f"{name}_stderr"] = round(frame[name].sem(), 4)
    return row


def _metrics(
    pools: Sequence[Pool], problems: Sequence[Problem], count: int
) -> Iterator[dict[str, float]]:
    for pool, problem in zip(pools, problems, strict=True):
        metrics = pool_metrics(pool, problem.answer)
        yield {
            "pass@1": metrics["pass@1"],
            "coverage": metrics[f"coverage@{count}"],
            "voting": metrics[f"voting@{count}"],
            "unparsed": metrics["unparsed"],
        }

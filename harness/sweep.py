"""`latent-tts sweep`: how strong should a sampler be? Asked of validation problems only."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pandas as pd
from tqdm import tqdm

from ..models import AutoLatentModel, LatentSettings, load_tokenizer
from ..tasks import Pool, pool_metrics
from ..tasks.arith import Problem, generate
from .sampling import draw_pools


@click.command()
@click.option("--pretrained", default="tiny-coconut", show_default=True, help="Checkpoint.")
@click.option("--output", type=click.Path(path_type=Path), required=True, help="CSV to write.")
@click.option("--dropout-p", multiple=True, type=float, help="A strength to try; repeatable.")
@click.option("--noise-std", multiple=True, type=float, help="A strength to try; repeatable.")
@click.option("--dropout-scope", help="Where dropout acts; the checkpoint's own unless given.")
@click.option("--dropout-site", help="After which modules; the checkpoint's own unless given.")
@click.option("--num-return-sequences", "samples", default=16, show_default=True, help="N.")
@click.option("--problems", default=500, show_default=True, help="Validation problems.")
@click.option("--seed", default=0, show_default=True, help="Of problems and samples.")
def sweep(
    pretrained: str,
    output: Path,
    dropout_p: Sequence[float],
    noise_std: Sequence[float],
    dropout_scope: str | None,
    dropout_site: str | None,
    samples: int,
    problems: int,
    seed: int,
) -> None:
    """Measure pass@1, coverage and voting over sampler strengths, on validation problems."""
    if not dropout_p and not noise_std:
        raise click.UsageError("Nothing to try: give --dropout-p or --noise-std at least once.")
    model = AutoLatentModel.from_pretrained(pretrained)
    tokenizer = load_tokenizer(pretrained)
    questions = list(generate(split="validation", count=problems, seed=seed))
    base = model.settings(
        latent_do_sample=True,
        num_return_sequences=samples,
        seed=seed,
        dropout_scope=dropout_scope,
        dropout_site=dropout_site,
    )
    runs = [replace(base, latent_do_sample=False, num_return_sequences=1)]
    runs += [replace(base, latent_do_sample_by="dropout", dropout_p=p) for p in dropout_p]
    runs += [replace(base, latent_do_sample_by="noise", noise_std=sigma) for sigma in noise_std]
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
    pools = draw_pools(model, tokenizer, [problem.question for problem in problems], settings)
    count = settings.num_return_sequences
    kind = settings.latent_do_sample_by if settings.latent_do_sample else "none"
    row: dict[str, Any] = {
        "sampler": kind,
        "strength": {"dropout": settings.dropout_p, "noise": settings.noise_std}.get(kind, 0.0),
        "scope": settings.dropout_scope if kind == "dropout" else "",
        "site": settings.dropout_site if kind == "dropout" else "",
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

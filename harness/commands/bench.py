"""`latent-tts bench`: samples per second, against two ways without the engine and the bound."""

import json
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import torch

from ...models import LatentSettings
from ..arguments import read_device
from ..bench.measures import Run, matrix_rate, seconds
from ..bench.reference import Ask, published
from ..bench.ways import generate_texts, plain_loop
from ..bench.work import NEW_TOKENS, SAMPLERS, load, operations, prompts, settings
from . import HELP


@click.command(context_settings=HELP)
@click.option("--pretrained", help="Checkpoint; random weights of GPT-2 small's size without.")
@click.option("--count", "counts", multiple=True, type=click.IntRange(1), help="N; repeatable.")
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1))
@click.option("--prompt-tokens", default=65, show_default=True, type=click.IntRange(1))
@click.option("--device", help="Such as cpu or cuda:0; found if left out.")
@click.option("--seed", default=0, show_default=True, help="Seed of weights, prompt and samples.")
@click.option("--reference", type=click.Path(path_type=Path), help="Clone of the published code.")
@click.option("--reference-python", help="A Python with the published code's requirements.")
@click.option("--json", "file", type=click.Path(dir_okay=False, path_type=Path), help="JSON Lines.")
def bench(
    pretrained: str | None,
    counts: Sequence[int],
    rounds: int,
    prompt_tokens: int,
    device: str | None,
    seed: int,
    reference: Path | None,
    reference_python: str | None,
    file: Path | None,
) -> None:
    """Measure samples per second with each sampler, for N = 1 and 64 unless --count says otherwise.

    In each round every way takes its turn: the engine, a plain loop around transformers' forward,
    transformers' generate on as many tokens and, with --reference, the published code. Figures are
    medians of the rounds with their range in brackets; ratios and shares are taken within a round.
    """
    where = read_device(device)
    model = load(pretrained, where, seed=seed)
    input_ids = prompts(model, tokens=prompt_tokens, seed=seed)
    rows = []
    with published(reference, reference_python, model, input_ids) as ask:
        for count in counts or (1, 64):
            for row in _measure(model, input_ids, count, rounds=rounds, seed=seed, ask=ask):
                click.echo(_line(row))
                rows.append(row)
    if file is not None:
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def _measure(
    model: Any, input_ids: torch.Tensor, count: int, *, rounds: int, seed: int, ask: Ask | None
) -> Iterator[dict[str, Any]]:
    """Yield a row for each sampler: its name, N, and name -> [median, least, greatest]."""
    for sampler in SAMPLERS:
        given = settings(model, sampler, count, seed=seed)
        ways = _ways(model, input_ids, given, ask)
        ways["engine"]()  # packs weights, and warms up
        taken: dict[str, list[float]] = {name: [] for name in ways}
        rates = []
        for _ in range(rounds):
            rates.append(matrix_rate(model.device, model.dtype))
            for name, run in ways.items():
                taken[name].append(seconds(model.device, run))
        needed = operations(model, given, tokens=input_ids.shape[1])
        engine = taken.pop("engine")
        figures = {
            "samples/s": [count / own for own in engine],
            **{
                f"÷ {name}": [other / own for other, own in zip(others, engine, strict=True)]
                for name, others in taken.items()
            },
            "% of bound": [
                100 * needed / rate / own for rate, own in zip(rates, engine, strict=True)
            ],
        }
        yield {"sampler": sampler, "N": count} | {
            name: [statistics.median(values), min(values), max(values)]
            for name, values in figures.items()
        }


def _ways(
    model: Any, input_ids: torch.Tensor, given: LatentSettings, ask: Ask | None
) -> dict[str, Run]:
    """Return what takes its turn in a round."""
    count = given.num_return_sequences
    ways: dict[str, Run] = {
        "engine": lambda: model.generate(input_ids, generation_config=given),
        "plain loop": lambda: plain_loop(model, input_ids, given),
        "generate": lambda: generate_texts(model, input_ids, count=count, tokens=NEW_TOKENS),
    }
    # The published code has no dropout over thoughts alone.
    if ask is not None and (given.sampler.prompt_varies or not given.sampler.reading_varies):
        ways["published code"] = lambda: ask(given)
    return ways


def _line(row: dict[str, Any]) -> str:
    """Return a row as text."""
    figures = (
        f"{name} {value[0]:.1f} ({value[1]:.1f}–{value[2]:.1f})"
        for name, value in row.items()
        if isinstance(value, list)
    )
    return f"{row['sampler']}, N = {row['N']}: {', '.join(figures)}"

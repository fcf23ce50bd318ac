"""`latent-tts bench`: samples per second, against two ways without the engine and the bound."""

import json
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import click
import pandas as pd
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
@click.option(
    "--sampler",
    "samplers",
    multiple=True,
    type=click.Choice(list(SAMPLERS)),
    default=("noise", "dropout over prompt and thoughts"),
    help="Repeatable.",
)
@click.option("--rounds", default=2, type=click.IntRange(1))
@click.option("--prompt-tokens", default=65, type=click.IntRange(1))
@click.option("--device", help="Such as cpu or cuda:0; found if left out.")
@click.option("--reference", type=click.Path(path_type=Path), help="Clone of the published code.")
@click.option("--reference-python", help="A Python with the published code's requirements.")
@click.option("--json", "file", type=click.Path(dir_okay=False, path_type=Path), help="JSON Lines.")
def bench(
    pretrained: str | None,
    counts: Sequence[int],
    samplers: Sequence[str],
    rounds: int,
    prompt_tokens: int,
    device: str | None,
    reference: Path | None,
    reference_python: str | None,
    file: Path | None,
) -> None:
    """Measure samples per second, for N = 1 and 64 unless --count says otherwise.

    In each round every way takes its turn: the engine, a plain loop around transformers' forward,
    with noise also transformers' generate, and with --reference the published code. Figures are
    medians of the rounds with their range in brackets; ratios are taken within a round.
    """
    model = load(pretrained, read_device(device))
    input_ids = prompts(model, tokens=prompt_tokens)
    rows = []
    with published(reference, reference_python, model, input_ids) as ask:
        for count, sampler in product(counts or (1, 64), samplers):
            given = settings(model, sampler, count)
            figures = _measure(model, input_ids, given, rounds, ask)
            rows.append({"sampler": sampler, "N": count} | figures)
            shown = [name + " {:.3g} ({:.3g}–{:.3g})".format(*f) for name, f in figures.items()]
            click.echo(f"{sampler}, N = {count}: {', '.join(shown)}")
    if file is not None:
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def _measure(
    model: Any, input_ids: torch.Tensor, given: LatentSettings, rounds: int, ask: Ask | None
) -> dict[Any, list[Any]]:
    """Return name -> [median, least, greatest] of the rounds."""
    count = given.num_return_sequences
    ways: dict[str, Run] = {
        "engine": lambda: model.generate(input_ids, generation_config=given),
        "plain loop": lambda: plain_loop(model, input_ids, given),
    }
    if not given.sampler.reading_varies:  # as it is while texts are written
        ways["generate"] = lambda: generate_texts(model, input_ids, count=count, tokens=NEW_TOKENS)
    # The published code has no dropout over thoughts alone.
    if ask is not None and (given.sampler.prompt_varies or not given.sampler.reading_varies):
        ways["published code"] = lambda: ask(given)
    ways["engine"]()  # packs weights, and warms up
    needed = operations(model, given, tokens=input_ids.shape[1])
    rows = []
    for _ in range(rounds):
        rate = matrix_rate(model.device, model.dtype)
        taken = {name: seconds(model.device, run) for name, run in ways.items()}
        engine = taken.pop("engine")
        ratios = {f"÷ {name}": other / engine for name, other in taken.items()}
        bound = {"% of bound": 100 * needed / rate / engine}
        rows.append({"samples/s": count / engine} | ratios | bound)
    return pd.DataFrame(rows).agg(["median", "min", "max"]).to_dict("list")

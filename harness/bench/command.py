"""`latent-tts bench`: samples per second of the engine, of two ways without it, and the bound."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import click
import pandas as pd
import torch

from ..arguments import read_device
from .endless import compare_endless
from .flat import SMALL, compare_lengths
from .profile import profile_samplers
from .randomness import compare_randomness
from .samplers import compare_samplers, memory_growth
from .setup import Setup
from .work import SAMPLERS, Work

_SETTING = {"sampler": "sampler", "scope": "scope", "num_return_sequences": "N"}


@dataclass(frozen=True)
class Scenario:
    """A benchmark, and which of its figures are printed.

    Attributes:
        measure: from what is asked for to rows.
        shown: field of a row -> heading.
        sizes: fields of `Work` that have another default.
    """

    measure: Callable[[Setup], Iterator[dict[str, Any]]]
    shown: dict[str, str]
    sizes: dict[str, int]


SCENARIOS = {
    "samplers": Scenario(
        compare_samplers,
        _SETTING
        | {
            "samples_per_s": "samples/s",
            "token_forwards_per_s": "tokens/s",
            "ratio_to_straightforward": "/straightforward",
            "ratio_to_explicit": "/explicit",
            "ratio_to_generate": "/generate",
            "share_of_bound": "of bound",
            "peak_bytes": "peak",
            "peak_beyond_weights_bytes": "beyond weights",
            "straightforward_peak_bytes": "straightforward's peak",
        },
        {},
    ),
    "endless": Scenario(
        compare_endless,
        {
            "samples": "samples",
            "endless_tokens": "tokens",
            "ending_s": "all end, s",
            "endless_s": "one endless, s",
            "ratio_to_ending": "ratio",
        },
        {},
    ),
    "flat": Scenario(
        compare_lengths,
        {
            "questions": "questions",
            "ms_per_question": "ms a question",
            "ratio_to_short": "ratio",
            "grown_bytes": "memory grown by",
        },
        SMALL,
    ),
    "randomness": Scenario(
        compare_randomness,
        _SETTING
        | {"sampled_s": "sampled, s", "deterministic_s": "not, s", "added_share": "added share"},
        {},
    ),
    "profile": Scenario(
        profile_samplers,
        _SETTING | {"group": "operators", "seconds": "s", "share": "share"},
        {},
    ),
}
_OTHERS = {
    "endless": "Measure instead what one of 512 samples costs that writes 512 tokens.",
    "flat": "Measure instead time and memory of 100 and 2,000 questions, on a small model.",
    "randomness": "Measure instead what masks and noise add to the same passes without.",
    "profile": "Show instead which operators take the engine's time.",
}
_SIZES = {
    "layers": "Of the GPT-2.",
    "width": "Of the GPT-2.",
    "heads": "Of the GPT-2.",
    "vocabulary": "Of the GPT-2.",
    "questions": "In one batch.",
    "prompt_tokens": "Of a question.",
    "thoughts": "Of a sample.",
    "answer_tokens": "Of a sample.",
    "reasoning_tokens": "Of an explicit text, before its answer.",
    "seed": "Of weights, problems and samples.",
}


def size_options(command: Any) -> Any:
    """Add an option for every field of `Work` to a command."""
    for field in reversed(fields(Work)):
        least = 0 if field.name == "seed" else 1
        shown = str(field.default)
        if field.name in SMALL:
            shown += f", with --flat {SMALL[field.name]}"
        command = click.option(
            "--" + field.name.replace("_", "-"),
            type=click.IntRange(least),
            show_default=shown,
            help=_SIZES[field.name],
        )(command)
    return command


def scenario_options(command: Any) -> Any:
    """Add a flag for every benchmark but the default to a command."""
    for name in reversed(_OTHERS):
        command = click.option(f"--{name}", "scenario", flag_value=name, help=_OTHERS[name])(
            command
        )
    return command


@click.command()
@scenario_options
@size_options
@click.option(
    "--samples",
    "counts",
    multiple=True,
    default=[1, 8, 64],
    show_default=True,
    type=click.IntRange(1),
    help="N; repeatable.",
)
@click.option(
    "--sampler",
    "samplers",
    multiple=True,
    default=list(SAMPLERS),
    show_default=True,
    type=click.Choice(list(SAMPLERS)),
    help="Repeatable.",
)
@click.option(
    "--rounds",
    default=5,
    show_default=True,
    type=click.IntRange(1),
    help="In each, every way takes its turn.",
)
@click.option("--device", help="Default: the accelerator, else the CPU.")
@click.option(
    "--dtype",
    default="float32",
    show_default=True,
    type=click.Choice(["float32", "bfloat16", "float16"]),
    help="Of weights and products.",
)
@click.option("--json", "file", type=click.Path(path_type=Path), help="File to write the rows to.")
def bench(
    scenario: str | None,
    counts: Sequence[int],
    samplers: Sequence[str],
    rounds: int,
    device: str | None,
    dtype: str,
    file: Path | None,
    **sizes: int | None,
) -> None:
    """Compare ways to sample from a COCONUT with random weights, on the same prompts.

    The engine takes turns with a plain loop around transformers' forward (straightforward), with
    transformers' generate writing a reasoning and its answer as text (explicit) and writing as many
    tokens as the engine (generate), and with matrix products, whose rate bounds them all. Ratios
    are of samples per second, taken within a round: the median, and the range.
    """
    chosen = SCENARIOS[scenario or "samplers"]
    given = {name: size for name, size in sizes.items() if size is not None}
    setup = Setup(
        work=Work(**(chosen.sizes | given)),
        samplers=tuple(dict.fromkeys(samplers)),
        counts=tuple(dict.fromkeys(counts)),
        rounds=rounds,
        device=read_device(device),
        dtype=getattr(torch, dtype),
    )
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)  # now, not after minutes of measuring
    about = setup.about()
    click.echo(", ".join(f"{name} {value}" for name, value in about.items()))
    rows = []
    for row in chosen.measure(setup):
        rows.append(row)
        if file is not None:  # after each row: what was measured before an interruption is kept
            table = [about | found for found in rows]
            file.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    click.echo(table_of(rows, chosen.shown))
    if chosen.measure is compare_samplers:
        for sentence in memory_growth(rows):
            click.echo(sentence)


def table_of(rows: Sequence[dict[str, Any]], shown: dict[str, str]) -> str:
    """Return rows as text, with ranges behind medians and bytes in MiB.

    Args:
        rows: fields by name.
        shown: field -> heading, in the order of the columns.
    """
    columns = {heading: [_text(row, name) for row in rows] for name, heading in shown.items()}
    return pd.DataFrame(columns).to_string(index=False)


def _text(row: dict[str, Any], name: str) -> str:
    value = row.get(name, "")
    if name.endswith("_bytes") and value != "":
        return f"{value / (1 << 20):.0f} MiB"
    if not isinstance(value, float):
        return str(value)
    if f"{name}_low" not in row:
        return f"{value:.4g}"
    return f"{value:.3g} ({row[f'{name}_low']:.3g}–{row[f'{name}_high']:.3g})"

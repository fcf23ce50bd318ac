"""`latent-tts bench`: what the engine gains, and what it costs."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import click
import pandas as pd
import torch
from click.core import ParameterSource

from ..arguments import read_device
from .endless import compare_endless
from .flat import SMALL, compare_lengths
from .profile import profile_samplers
from .randomness import compare_randomness
from .reference import compare_reference
from .samplers import compare_samplers, memory_growth
from .setup import Setup
from .work import LEAST_VOCABULARY, SAMPLERS, Work

_REFERENCE = ("reference", "reference_python")
_SETTING = {"sampler": "sampler", "scope": "scope", "num_return_sequences": "N"}


@dataclass(frozen=True)
class Scenario:
    """A benchmark, and which of its figures are printed.

    Attributes:
        about: what it does, for --help.
        measure: from what is asked for to rows.
        shown: field of a row -> heading.
        sizes: fields of `Work` that have another default.
        unused: parameters of the command that it has no use for.
    """

    about: str
    measure: Callable[[Setup], Iterator[dict[str, Any]]]
    shown: dict[str, str]
    sizes: dict[str, int] = field(default_factory=dict)
    unused: tuple[str, ...] = _REFERENCE


SCENARIOS = {
    "samplers": Scenario(
        "Every sampler and N against plain transformers and the bound (the default).",
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
    ),
    "endless": Scenario(
        "What one of 512 samples costs that writes 512 tokens.",
        compare_endless,
        {
            "samples": "samples",
            "endless_tokens": "tokens",
            "ending_s": "all end, s",
            "endless_s": "one endless, s",
            "ratio_to_ending": "ratio",
            "ratio_without_drafts": "without drafts",
        },
        unused=(*_REFERENCE, "counts", "samplers", "questions"),
    ),
    "flat": Scenario(
        "Time and memory of 100 and of 2,000 questions, on a small model.",
        compare_lengths,
        {
            "questions": "questions",
            "ms_per_question": "ms a question",
            "ratio_to_short": "ratio",
            "grown_bytes": "memory grown by",
        },
        sizes=SMALL,
        unused=(*_REFERENCE, "counts", "questions", "prompt_tokens"),
    ),
    "randomness": Scenario(
        "What masks and noise add to the same passes without.",
        compare_randomness,
        _SETTING
        | {"sampled_s": "sampled, s", "deterministic_s": "not, s", "added_share": "added share"},
    ),
    "reference": Scenario(
        "Against the published code, in a process of its own.",
        compare_reference,
        _SETTING
        | {
            "samples_per_s": "samples/s",
            "reference_samples_per_s": "reference's",
            "ratio_to_reference": "/reference",
        },
        unused=(),
    ),
    "profile": Scenario(
        "Which operators take the engine's time.",
        profile_samplers,
        _SETTING | {"group": "operators", "seconds": "s", "share": "share"},
    ),
}
_SIZES = {
    "layers": "Layers of the GPT-2.",
    "width": "Size of its hidden states.",
    "heads": "Its attention heads.",
    "vocabulary": "Tokens that it knows.",
    "questions": "Questions that are sampled together.",
    "prompt_tokens": "Tokens of each question.",
    "thoughts": "Thoughts of each sample.",
    "answer_tokens": "Tokens of each sample's answer.",
    "reasoning_tokens": "Tokens of an explicit text before its answer.",
    "seed": "Seed of weights, problems and samples.",
}


def size_options(command: Any) -> Any:
    """Add an option for every field of `Work` to a command."""
    for size in reversed(fields(Work)):
        least = {"seed": 0, "vocabulary": LEAST_VOCABULARY}.get(size.name, 1)
        shown = str(size.default)
        if size.name in SMALL:
            shown += f"; {SMALL[size.name]} for flat"
        command = click.option(
            "--" + size.name.replace("_", "-"),
            type=click.IntRange(least),
            show_default=shown,
            help=_SIZES[size.name],
        )(command)
    return command


@click.command(
    epilog="\b\n" + "\n".join(f"{name:<12}{one.about}" for name, one in SCENARIOS.items())
)
@click.argument("scenario", default="samplers", type=click.Choice(list(SCENARIOS)))
@size_options
@click.option(
    "--samples",
    "counts",
    multiple=True,
    default=[1, 8, 64],
    show_default=True,
    type=click.IntRange(1),
    help="Samples N of each question; repeatable.",
)
@click.option(
    "--sampler",
    "samplers",
    multiple=True,
    default=list(SAMPLERS),
    show_default=True,
    type=click.Choice(list(SAMPLERS)),
    help="Sampler and its scope; repeatable.",
)
@click.option(
    "--rounds",
    default=5,
    show_default=True,
    type=click.IntRange(1),
    help="How often every way takes its turn.",
)
@click.option("--device", help="Device; the accelerator by default, else the CPU.")
@click.option(
    "--dtype",
    default="float32",
    show_default=True,
    type=click.Choice(["float32", "bfloat16", "float16"]),
    help="Precision of weights and products.",
)
@click.option(
    "--reference",
    type=click.Path(path_type=Path),
    help="Folder of a clone of the published code.",
)
@click.option(
    "--reference-python",
    default=sys.executable,
    show_default="this one",
    help="Python in which the published code's requirements are installed.",
)
@click.option(
    "--json",
    "file",
    type=click.Path(path_type=Path, dir_okay=False, writable=True),
    help="File to write the rows to.",
)
def bench(
    scenario: str,
    counts: Sequence[int],
    samplers: Sequence[str],
    rounds: int,
    device: str | None,
    dtype: str,
    reference: Path | None,
    reference_python: str,
    file: Path | None,
    **sizes: int | None,
) -> None:
    """Compare ways to sample from a COCONUT with random weights, on the same prompts.

    The engine takes turns with a plain loop around transformers' forward (straightforward), with
    transformers' generate writing a reasoning and its answer as text (explicit) and writing as many
    tokens as the engine (generate), and with matrix products, whose rate bounds them all. Ratios
    are of samples per second, taken within a round: the median, and the range.
    """
    chosen = SCENARIOS[scenario]
    _check_used(scenario, chosen.unused)
    place = read_device(device)
    if device is not None and place.type != torch.device(device).type:
        raise click.UsageError(f"--device={device}: there is none here. Leave it out for the CPU.")
    given = {name: size for name, size in sizes.items() if size is not None}
    setup = Setup(
        work=Work(**(chosen.sizes | given)),
        samplers=tuple(dict.fromkeys(samplers)),
        counts=tuple(dict.fromkeys(counts)),
        rounds=rounds,
        device=place,
        dtype=getattr(torch, dtype),
        reference=reference,
        reference_python=reference_python,
    )
    if file is not None:
        try:  # now, not after minutes of measuring
            file.parent.mkdir(parents=True, exist_ok=True)
            file.open("a").close()
        except OSError as error:
            raise click.UsageError(f"--json={file} cannot be written: {error.strerror}.") from error
    about = setup.about()
    click.echo(", ".join(f"{name} {value}" for name, value in about.items()))
    rows = []
    for row in chosen.measure(setup):
        rows.append(row)
        named = [str(row[name]) for name in (*_SETTING, "questions") if name in row]
        click.echo(f"measured: {', '.join(named) or scenario}", err=True)
        if file is not None:  # after each row: what was measured before an interruption is kept
            table = [about | found for found in rows]
            file.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    click.echo(table_of(rows, chosen.shown))
    if chosen.measure is compare_samplers:
        for sentence in memory_growth(rows):
            click.echo(sentence)


def _check_used(scenario: str, unused: Sequence[str]) -> None:
    context = click.get_current_context()
    for parameter in context.command.params:
        name = parameter.name or ""
        if name in unused and context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"{scenario} has no use for {parameter.opts[0]}. Leave it out.")


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
    if row.get(f"{name}_low", value) == row.get(f"{name}_high", value):
        return f"{value:.4g}"
    return f"{_short(value)} ({_short(row[f'{name}_low'])}–{_short(row[f'{name}_high'])})"


def _short(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"

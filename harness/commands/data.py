"""`latent-tts data`: training text, and what of it is test questions."""

import json
import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import click

from ...models import ModelError
from ...tasks import Solved
from ...tasks.preparation import Prepared, Source, prepare, shipped_tests
from ..training.data import read_examples
from . import HELP
from .output import Output

_SHOWN = 3  # examples of what was dropped for a reason


@click.group(context_settings=HELP)
def data() -> None:
    """Prepare training text, and keep test questions out of it."""


@data.command(name="prepare")
@click.argument("sources", nargs=-1, required=True)
@click.option("--output", required=True, type=Output(folder=False), help="File to write.")
@click.option(
    "--variants", default=0, type=click.IntRange(0), help="With other numbers, a question."
)
@click.option("--most-steps", type=click.IntRange(1), help="Of a question. Default: any number.")
@click.option("--longest", type=click.IntRange(1), help="Question, in words. Default: any length.")
@click.option("--exclude", multiple=True, help="File of questions to leave out; repeatable.")
@click.option("--validation", type=Output(folder=False), help="File for questions set apart.")
@click.option("--validation-count", default=200, type=click.IntRange(1), help="How many.")
@click.option("--seed", default=0, help="Of choices, variants and order.")
def prepare_data(
    sources: tuple[str, ...],
    output: Path,
    variants: int,
    most_steps: int | None,
    longest: int | None,
    exclude: tuple[str, ...],
    validation: Path | None,
    validation_count: int,
    seed: int,
) -> None:
    """Make one file of {question, steps, answer} lines of SOURCES.

    A source is a file, or arith:3000 for generated problems; @800 after it takes 800 of its
    questions. Files are looked for here and in the folder that LATENT_TTS_DATA names. Questions
    without steps get the one computation of their numbers that gives the answer. Test questions,
    as they are or with other numbers, are dropped and named.
    """
    if validation and validation.resolve() == output.resolve():
        raise ModelError(
            f"--output and --validation are both {output}. Give each a file of its own."
        )
    made = prepare(
        [_source(text, variants=variants, seed=seed) for text in sources],
        seed=seed,
        most_steps=most_steps,
        longest=longest,
        validation=validation_count if validation else 0,
        excluded={name: [one.question for one in _read(name, seed)] for name in exclude},
    )
    if not made.examples:
        raise ModelError("Nothing is left of the sources; every question was dropped.")
    _write(output, made.examples)
    if validation:
        _write(validation, made.validation)
    _report(made)
    click.echo(f"{output}: {len(made.examples)} questions")


@data.command()
@click.argument("files", nargs=-1, required=True)
def check(files: tuple[str, ...]) -> None:
    """Name the test questions in FILES; exit code 1 where there are any."""
    found = 0
    for file in files:
        for number, one in enumerate(_read(file, 0), start=1):
            match = shipped_tests().find(one.question)
            if match:
                found += 1
                click.echo(f"{file}, question {number}: {match}: {one.question}")
    click.echo(f"{found} test questions")
    if found:
        raise SystemExit(1)


def _source(text: str, *, variants: int, seed: int) -> Source:
    name, at, count = text.rpartition("@")
    if not at or Path(text).is_file():
        name, at, count = text, "", ""
    if at and not (count.isdecimal() and int(count)):
        raise ModelError(f"{text!r}: after @ stands how many questions to take, such as @800.")
    return Source(name, _read(name, seed), count=int(count) if at else None, variants=variants)


def _read(name: str, seed: int) -> list[Solved]:
    kind, colon, count = name.partition(":")
    generated = kind == "arith" and colon
    if generated and not count.isdecimal():
        raise ModelError(f"{name!r}: generated problems are asked for by number, as arith:3000.")
    source = {"arith": int(count)} if generated else name
    return [
        Solved(question=one.question, steps=tuple(one.steps), answer=one.answer)
        for one in read_examples([source], split="train", seed=seed, test_questions=True)
    ]


def _write(file: Path, examples: Iterable[Solved]) -> None:
    """Write JSON Lines in one move, so that a file is never there in part."""
    new = file.with_name(f".{file.name}.new")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with new.open("w", encoding="utf-8") as stream:
            for one in examples:
                row = {"question": one.question, "steps": one.steps, "answer": one.answer}
                stream.write(json.dumps(row, ensure_ascii=False) + "\n")
        os.replace(new, file)
    except OSError as error:
        new.unlink(missing_ok=True)
        raise ModelError(f"{file} cannot be written: {error}") from error


def _report(made: Prepared) -> None:
    """Print what became of each source's questions, and what was dropped."""
    for name, counts in made.counts.items():
        kept = ", ".join(f"{number} {what}" for what, number in counts.items())
        click.echo(f"{name}: {kept}")
    reasons = Counter((one.source, one.reason) for one in made.dropped)
    for (source, reason), number in sorted(reasons.items()):
        click.echo(f"dropped from {source}: {number} ({reason})")
        if reason.startswith("test question"):
            named = [
                one.question for one in made.dropped if (one.source, one.reason) == (source, reason)
            ]
            for question in named[:_SHOWN]:
                click.echo(f"    {question}")
    if made.validation:
        click.echo(f"set apart for validation: {len(made.validation)}")

"""`latent-tts pool import`: candidates of other programs become a run folder."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import click

from ...results.foreign import is_dump, read_dump, read_pools, write_run
from ...results.foreign.run import unscored
from . import HELP
from .options import Output


@click.group(context_settings=HELP)
def pool() -> None:
    """Candidates made by other programs."""


@pool.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--output", required=True, type=Output(folder=True), help="Run folder.")
@click.option("--task", default="imported", show_default=True, help="What was asked.")
@click.option("--name", help="What made the candidates; the file's name if not given.")
@click.option("--seed", type=int, help="Seed of the candidates.")
@click.option("--tolerance", default="0", show_default=True, help="From the gold answer.")
@click.option("--k", "ks", multiple=True, type=int, help="Sample counts; repeatable.")
def import_pool(
    file: Path,
    output: Path,
    task: str,
    name: str | None,
    seed: int | None,
    tolerance: str,
    ks: Sequence[int],
) -> None:
    """Judge the candidates in FILE and write them as a run folder, which all commands read.

    FILE holds one JSON object a line: {"id", "question", "gold", "candidates": [{"answer",
    "text", "reward"}, …]}; question, text and reward may be left out. Or it is one JSON object as
    LatentTTS and programs made from it dump a run, with "meta" and "examples".
    """
    if is_dump(file):
        lines, known = read_dump(file)
        seed = known if seed is None else seed
    else:
        lines = read_pools(file)
    without = unscored(lines)
    if without:
        click.echo(
            f"note: best_of_n left out: {without[0].where} has no rewards, like {len(without)} of "
            f"{len(lines)} lines. Weighted voting needs them too; null is a reward that is no "
            "number.",
            err=True,
        )
    results = write_run(
        lines,
        output,
        task=task,
        name=name or file.name.partition(".")[0],
        source_sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
        seed=seed,
        ks=ks,
        tolerance=tolerance,
    )
    click.echo(results)

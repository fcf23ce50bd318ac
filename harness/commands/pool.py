"""`latent-tts pool import`: candidates of other programs become a run folder."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import click

from ...results.foreign import read_foreign, write_run
from ...results.foreign.run import unscored
from ...tasks import find_judge
from . import HELP
from .output import Output


@click.group(context_settings=HELP)
def pool() -> None:
    """Candidates made by other programs."""


@pool.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--output", required=True, type=Output(folder=True), help="Run folder.")
@click.option("--task", default="imported", help="What was asked.")
@click.option("--name", help="What made the candidates; the file's name if not given.")
@click.option("--seed", type=int, help="Seed of the candidates.")
@click.option("--tolerance", help="From the gold answer; the file's own, or 0, if not given.")
@click.option("--judge", help="number, text or math; the file's own, or number, if not given.")
@click.option("--k", "ks", multiple=True, type=int, help="Sample counts; repeatable.")
def import_pool(
    file: Path,
    output: Path,
    task: str,
    name: str | None,
    seed: int | None,
    tolerance: str | None,
    judge: str | None,
    ks: Sequence[int],
) -> None:
    """Judge the candidates in FILE and write them as a run folder, which all commands read.

    FILE holds one JSON object a line: {"id", "question", "gold", "candidates": [{"answer",
    "text", "reward"}, …]}; question, text and reward may be left out. Or it is a dump of
    LatentTTS or of a program made from it (one JSON object with "meta" and "examples"), an outcome
    array of scorio (.npy, .npz), a sample log of lm-eval (samples_….jsonl) of any model and task
    that generates text, or a sample file of every_eval_ever.
    """
    if judge is not None:
        find_judge(judge)
    found = read_foreign(file, judge=judge, tolerance=tolerance)
    without = unscored(found.lines)
    if without:
        click.echo(
            f"note: best_of_n left out: {without[0].where} has no rewards, like {len(without)} of "
            f"{len(found.lines)} lines. Weighted voting needs them too; null is a reward that is "
            "no number.",
            err=True,
        )
    for note in found.notes:
        click.echo(f"note: {note}", err=True)
    results = write_run(
        found.lines,
        output,
        task=task,
        name=name or file.name.partition(".")[0],
        source_sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
        seed=found.seed if seed is None else seed,
        ks=ks,
        tolerance=tolerance or found.tolerance or "0",
        judge=found.judge,
    )
    click.echo(results)

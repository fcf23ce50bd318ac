"""`latent-tts claims`: sentences about runs, tested together, as one report."""

from dataclasses import replace
from pathlib import Path

import click
import pandas as pd

from ...results import Run, curve_table
from ...results.reports.charts import curve_chart, save
from ...results.reports.claims import find_runs, judge_claims, read_claims
from ...results.reports.claims_text import claims_markdown, claims_table
from ...results.runs.lm_eval_files import writing
from ..diversity import diversity_markdown, write_diversity
from . import HELP
from .output import Output
from .problems import tell


@click.command(context_settings=HELP)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--output", required=True, type=Output(folder=True), help="Folder of the report.")
@click.option(
    "--runs",
    "folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder that FILE's runs are seen from. Default: FILE's own.",
)
@click.option(
    "--store",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Store of the runs' thoughts, whose distances are shown too.",
)
@click.option("--alpha", default=0.05, show_default=True, help="Largest adjusted p that shows.")
def claims(file: Path, output: Path, folder: Path | None, store: Path | None, alpha: float) -> None:
    """Test the sentences in FILE against the runs that it names.

    FILE is a YAML: `runs` (a name and an --output_path folder each) and `claims`, each with `says`
    (the sentence), `a` and `b` (run and metric of the two numbers), `expects: higher` or `lower`,
    `equal: samples` or `flops` where k is to follow from what both spend, and `tasks` if not all.
    The folder gets claims.md, claims.csv and a picture of the curves of each task. With --store (of
    runs with store_thoughts=true) it gets how far the thoughts of each run lie apart too, a picture
    of that against coverage, and thoughts of right and wrong samples in a plane.
    """
    wanted = read_claims(file)
    runs, problems = find_runs(wanted, folder or file.parent)
    tell(problems)
    findings = judge_claims(wanted.claims, runs, alpha=alpha)
    text = claims_markdown(findings, alpha=alpha)
    with writing(output):
        output.mkdir(parents=True, exist_ok=True)
        claims_table(findings).to_csv(output / "claims.csv", index=False, float_format="%.8g")
        for task in dict.fromkeys(one.task for one in findings):
            sampled = {
                name: by_task[task]
                for name, by_task in runs.items()
                if task in by_task and not by_task[task].config.deterministic
            }
            if sampled:
                save(_curves(sampled), [output / f"{task}.{end}" for end in ("png", "svg")])
                text += f"\n![{task}]({task}.svg)\n"
        if store is not None:
            table, pictures = write_diversity(runs, store, output)
            text += f"\n{diversity_markdown(table)}\n"
            for picture in pictures:
                text += f"\n![{picture.stem}]({picture.name})\n" * (picture.suffix == ".svg")
        (output / "claims.md").write_text(text, encoding="utf-8")
    click.echo(text)


def _curves(runs: dict[str, Run]) -> dict[str, object]:
    tables = [curve_table(replace(run, name=name)) for name, run in runs.items()]
    return curve_chart(pd.concat(tables, ignore_index=True))

"""`latent-tts readme`: the README's results, made from the committed runs."""

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

import click
import pandas as pd
from PIL import Image

from .curves import draw_curves
from .errors import ResultsError
from .judged import NOT_ACCURACY
from .records import collect
from .rewards import rewards_table
from .run import Run

REWARDS = "rewards.csv"
"""What `latent-tts reward-table` wrote, beside the runs."""

_SECTION = re.compile(
    r"(?P<start><!-- latent-tts: (?P<name>[\w-]+) -->\n).*?(?P<end><!-- /latent-tts -->)", re.DOTALL
)
_LABELS = {"pass": "coverage"}  # pass@k is coverage with k samples
_REPEATED = frozenset({"coverage"})


def results_table(runs: Sequence[Run]) -> str:
    """Return the accuracies of runs against N as a Markdown table, in per cent ± standard error."""
    ks = sorted({int(k) for run in runs for k in _ks(run)})
    lines = [
        f"| task | sampler | metric | {' | '.join(f'N = {k}' for k in ks)} |",
        f"|{'---|' * (3 + len(ks))}",
    ]
    for run in runs:
        strength = f" {run.config.strength:g}" if run.config.strength else ""
        for family in _families(run):
            cells = [_cell(run, f"{family}@{k}") for k in ks]
            label = _LABELS.get(family, family.replace("_", " "))
            start = f"| {run.task} | {run.config.sampler}{strength} | {label} |"
            lines.append(f"{start} {' | '.join(cells)} |")
    return "\n".join(lines)


def curve_tables(runs: Sequence[Run]) -> list[pd.DataFrame]:
    """Return for each sampled run the table that `draw_curves` draws, from its records alone."""
    return [
        pd.DataFrame(
            {
                "task": run.task,
                "run": run.config.sampler,
                "k": int(k),
                "coverage": run.metrics[f"pass@{k}"].value,
                "coverage_stderr": run.metrics[f"pass@{k}"].stderr,
                "voting": run.metrics[f"voting@{k}"].value,
                "voting_stderr": run.metrics[f"voting@{k}"].stderr,
            }
            for k in _ks(run)
        )
        for run in runs
        if len(_ks(run)) > 1
    ]


def fill_sections(text: str, sections: dict[str, str]) -> str:
    """Return a README with the text between its markers replaced.

    Args:
        text: with `<!-- latent-tts: NAME -->` … `<!-- /latent-tts -->`.
        sections: name -> what stands between.

    Raises:
        ResultsError: a marker names no section, or a section has no marker.
    """
    found = [match["name"] for match in _SECTION.finditer(text)]
    if sorted(found) != sorted(sections):
        raise ResultsError(
            f"The README has the sections {', '.join(found) or 'none'}, but must have each of "
            f"{', '.join(sections)} once, as <!-- latent-tts: NAME --> … <!-- /latent-tts -->."
        )
    return _SECTION.sub(
        lambda match: f"{match['start']}{sections[match['name']]}\n{match['end']}", text
    )


@click.command()
@click.option("--check", "only_check", is_flag=True, help="Change nothing; fail on a difference.")
@click.option(
    "--readme",
    "file",
    default="README.md",
    show_default=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
)
@click.option(
    "--baselines",
    default="results/baselines",
    show_default=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
)
@click.pass_context
def readme(context: click.Context, only_check: bool, file: Path, baselines: Path) -> None:
    """Write the README's results and pictures, from the runs that are committed beside it."""
    runs, problems = collect([baselines])
    if problems or not runs:
        listed = "; ".join(map(str, problems)) or f"{baselines} holds no runs."
        raise ResultsError(f"Every committed run must be usable: {listed}")
    runs.sort(key=lambda run: (run.task, run.config.sampler, run.config.strength or 0.0))
    stale = [picture for picture, tables in _pictures(runs, baselines) if _stale(picture, tables)]
    text = file.read_text(encoding="utf-8")
    sections = {"results": results_table(runs)}
    if (baselines / REWARDS).is_file():
        sections["rewards"] = rewards_table(pd.read_csv(baselines / REWARDS))
    filled = fill_sections(text, sections)
    if only_check:
        different = [str(file)] * (filled != text) + [str(picture) for picture in stale]
        click.echo(
            f"Not as the runs in {baselines} say: {', '.join(different)}. Run `latent-tts readme`."
            if different
            else f"{file} and its pictures are as the runs in {baselines} say."
        )
        context.exit(int(bool(different)))
    if filled != text:
        file.write_text(filled, encoding="utf-8")
    for picture, tables in _pictures(runs, baselines):
        if picture in stale:
            draw_curves(tables, picture, description=_digest(tables))


def _pictures(runs: Sequence[Run], folder: Path) -> list[tuple[Path, list[pd.DataFrame]]]:
    by_task = {
        task: curve_tables([run for run in runs if run.task == task])
        for task in dict.fromkeys(run.task for run in runs)
    }
    return [(folder / f"{task}.png", tables) for task, tables in by_task.items() if tables]


def _stale(picture: Path, tables: Sequence[pd.DataFrame]) -> bool:
    """Tell whether a picture shows other numbers; its pixels differ between versions and fonts."""
    if not picture.is_file():
        return True
    with Image.open(picture) as image:
        return image.info.get("Description") != _digest(tables)


def _digest(tables: Sequence[pd.DataFrame]) -> str:
    return hashlib.sha256(pd.concat(tables).to_csv(float_format="%.12g").encode()).hexdigest()


def _ks(run: Run) -> list[str]:
    return [name.removeprefix("pass@") for name in run.metrics if name.startswith("pass@")]


def _families(run: Run) -> list[str]:
    names = [name.partition("@") for name in run.metrics if name not in NOT_ACCURACY]
    families = dict.fromkeys(family for family, _, k in names if k)
    return [family for family in families if family not in _REPEATED]


def _cell(run: Run, metric: str) -> str:
    if metric not in run.metrics:
        return "–"
    value, stderr = run.metrics[metric]
    return f"{100 * value:.1f}" + ("" if stderr is None else f" ± {100 * stderr:.1f}")

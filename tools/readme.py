"""Write the results of README and docs, and the pictures, from the committed runs.

The board is the one that `latent-tts claims` wrote, without the rows of `latent_tts_arith_hard`.

python tools/readme.py            # write
python tools/readme.py --check    # change nothing; exit with 1 on a difference
"""

import hashlib
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import click
import pandas as pd
from PIL import Image, PngImagePlugin

from latent_tts.results import ResultsError, Run, collect
from latent_tts.results.reports.charts import curve_chart, save
from latent_tts.results.reports.rewards import rewards_table
from latent_tts.results.reports.table import plus_minus
from latent_tts.results.runs.metrics import is_accuracy

ROOT = Path(__file__).parent.parent
REWARDS = "rewards.csv"
"""What `latent-tts reward-table` wrote, beside the runs."""

_SECTION = re.compile(
    r"(?P<start><!-- latent-tts: (?P<name>[\w-]+) -->\n).*?(?P<end><!-- /latent-tts -->)", re.DOTALL
)
_ELSEWHERE = "| arith_hard |"  # rows that docs/claims alone shows: the README is a front door
_LABELS = {"pass": "coverage"}  # pass@k is coverage with k samples
_REPEATED = frozenset({"coverage"})


def results_table(runs: Sequence[Run]) -> str:
    """Return the accuracies of runs against N as a Markdown table, in per cent ± standard error."""
    ks = sorted({k for run in runs for k in _ks(run)})
    lines = [
        f"| task | sampler | metric | {' | '.join(f'N = {k}' for k in ks)} |",
        f"|{'---|' * (3 + len(ks))}",
    ]
    for run in runs:
        strength = f" {run.config.strength:g}" if run.config.strength else ""
        for family in _families(run):
            found = [run.metrics.get(f"{family}@{k}", (None, None)) for k in ks]
            label = _LABELS.get(family, family.replace("_", " "))
            start = f"| {run.task} | {run.config.sampler}{strength} | {label} |"
            lines.append(f"{start} {' | '.join(plus_minus(*cell) for cell in found)} |")
    return "\n".join(lines)


def curve_table(runs: Sequence[Run]) -> pd.DataFrame:
    """Return the table that `curve_chart` shows, of all runs with several samples."""
    return pd.DataFrame(
        {"task": run.task, "run": run.config.sampler, "questions": run.questions, "k": k}
        | {
            f"{name}{part}": value
            for name, metric in (("coverage", "pass"), ("voting", "voting"))
            for part, value in zip(("", "_stderr"), run.metrics[f"{metric}@{k}"], strict=True)
        }
        for run in runs
        for k in _ks(run)
        if len(_ks(run)) > 1
    )


def fill_sections(texts: Mapping[Path, str], sections: dict[str, str]) -> dict[Path, str]:
    """Return pages with the text between their markers replaced.

    Args:
        texts: with `<!-- latent-tts: NAME -->` … `<!-- /latent-tts -->`.
        sections: name -> what stands between.

    Raises:
        ResultsError: a marker names no section, or a section has no marker.
    """
    found = [match["name"] for text in texts.values() for match in _SECTION.finditer(text)]
    if sorted(found) != sorted(sections):
        raise ResultsError(
            f"The pages have the sections {', '.join(found) or 'none'}, but must have each of "
            f"{', '.join(sections)} once, as <!-- latent-tts: NAME --> … <!-- /latent-tts -->."
        )

    def fill(match: re.Match[str]) -> str:
        return f"{match['start']}{sections[match['name']]}\n{match['end']}"

    return {page: _SECTION.sub(fill, text) for page, text in texts.items()}


@click.command()
@click.option("--check", "only_check", is_flag=True, help="Change nothing; fail on a difference.")
@click.option(
    "--page",
    "pages",
    multiple=True,
    default=[ROOT / "README.md", ROOT / "docs" / "results.md", ROOT / "docs" / "reward-models.md"],
    type=click.Path(path_type=Path),
)
@click.option(
    "--baselines", default=ROOT / "results" / "baselines", type=click.Path(path_type=Path)
)
@click.option(
    "--board", default=ROOT / "docs" / "claims" / "board.md", type=click.Path(path_type=Path)
)
def main(only_check: bool, pages: Sequence[Path], baselines: Path, board: Path) -> None:
    """Write the results of README and docs, and the pictures, from the committed runs."""
    runs = _committed(baselines)
    runs.sort(key=lambda run: (run.task, run.config.sampler, run.config.strength or 0.0))
    texts = {page: page.read_text(encoding="utf-8") for page in pages}
    sections = {"results": results_table(runs)}
    if (baselines / REWARDS).is_file():
        sections["rewards"] = rewards_table(pd.read_csv(baselines / REWARDS))
    if board.is_file():
        rows = board.read_text(encoding="utf-8").splitlines()
        sections["board"] = "\n".join(row for row in rows if not row.startswith(_ELSEWHERE))
    filled = fill_sections(texts, sections)
    changed = [page for page in pages if filled[page] != texts[page]]
    tables = {
        baselines / f"{task}.png": curve_table([run for run in runs if run.task == task])
        for task in dict.fromkeys(run.task for run in runs)
    }
    stale = {path: table for path, table in tables.items() if _stale(path, table)}
    if only_check:
        different = [str(path) for path in (*changed, *stale)]
        click.echo(
            f"Not as the runs in {baselines} say: {', '.join(different)}. Run tools/readme.py."
            if different
            else f"{', '.join(map(str, pages))} and pictures are as the runs in {baselines} say."
        )
        sys.exit(int(bool(different)))
    for page in changed:
        page.write_text(filled[page], encoding="utf-8")
    for path, table in stale.items():
        save(curve_chart(table), [path])
        _note(path, _digest(table))


def _committed(folder: Path) -> list[Run]:
    runs, problems = collect([folder])
    if problems or not runs:
        listed = "; ".join(map(str, problems)) or f"{folder} holds no runs."
        raise ResultsError(f"Every committed run must be usable: {listed}")
    return runs


def _stale(picture: Path, table: pd.DataFrame) -> bool:
    """Tell whether a picture shows other numbers; its pixels differ between versions and fonts."""
    if table.empty:
        return False
    if not picture.is_file():
        return True
    with Image.open(picture) as image:
        return bool(image.info.get("Description") != _digest(table))


def _note(picture: Path, description: str) -> None:
    """Store a text in a PNG file, beside the picture."""
    with Image.open(picture) as image:
        texts = PngImagePlugin.PngInfo()
        texts.add_text("Description", description)
        image.save(picture, pnginfo=texts, optimize=True)


def _digest(table: pd.DataFrame) -> str:
    return hashlib.sha256(table.to_csv(float_format="%.12g").encode()).hexdigest()


def _ks(run: Run) -> list[int]:
    return [int(name.removeprefix("pass@")) for name in run.metrics if name.startswith("pass@")]


def _families(run: Run) -> list[str]:
    names = [name.partition("@") for name in run.metrics if is_accuracy(name)]
    families = dict.fromkeys(family for family, _, k in names if k)
    return [family for family in families if family not in _REPEATED]


if __name__ == "__main__":
    main()

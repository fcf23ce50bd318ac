"""The report of `latent-tts claims`: a page, its tables, the board and the pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from ..results import Run, curve_table
from ..results.reports.board_table import board_table
from ..results.reports.charts import curve_chart, save
from ..results.reports.claims import Claims, Finding
from ..results.reports.claims_text import claims_markdown, claims_table
from .diversity import diversity_markdown, write_diversity

BOARD = "board.md"
"""The board's table alone, which the README shows."""


def write_report(
    claims: Claims,
    runs: Mapping[str, Mapping[str, Run]],
    findings: Sequence[Finding],
    *,
    alpha: float,
    store: Path | None,
    output: Path,
) -> str:
    """Write claims.md, claims.csv, board.md and the pictures into a folder.

    Args:
        claims: what the file says.
        runs: by name and task.
        findings: what came of the claims.
        alpha: largest adjusted p that shows.
        store: of the runs' thoughts; None leaves distances and planes out.
        output: a folder; made where it is missing.

    Returns:
        The page.

    Raises:
        ResultsError: the store lacks thoughts of a run.
    """
    output.mkdir(parents=True, exist_ok=True)
    claims_table(findings).to_csv(output / "claims.csv", index=False, float_format="%.8g")
    shown = [
        replace(run, name=name) for name in claims.board or runs for run in runs[name].values()
    ]
    board = board_table(shown)
    (output / BOARD).write_text(f"{board}\n", encoding="utf-8")
    parts = [f"# {claims.title}", claims.about.strip(), "## The claims"]
    parts += [claims_markdown(findings, alpha=alpha), "## The board", board]
    pictures = _write_curves(shown, output)
    if store is not None:
        table, drawn = write_diversity(runs, store, output, planes=claims.planes or tuple(runs))
        parts += ["## How far thoughts lie apart", diversity_markdown(table)]
        pictures += drawn
    parts += [f"![{one.stem}]({one.name})" for one in pictures if one.suffix == ".svg"]
    text = "\n\n".join(part.strip() for part in parts if part.strip()) + "\n"
    (output / "claims.md").write_text(text, encoding="utf-8")
    return text


def _write_curves(runs: Sequence[Run], output: Path) -> list[Path]:
    """Draw coverage and vote against N of each task's sampled runs."""
    pictures = []
    for task in dict.fromkeys(run.task for run in runs):
        sampled = [run for run in runs if run.task == task and not run.config.deterministic]
        if sampled:
            files = [output / f"{task}.{end}" for end in ("png", "svg")]
            tables = [curve_table(run) for run in sampled]
            save(curve_chart(pd.concat(tables, ignore_index=True)), files)
            pictures += files
    return pictures

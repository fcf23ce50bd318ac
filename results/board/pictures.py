"""The curves of a task as pictures for papers and READMEs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

_LINES = 8  # more cannot be told apart
_DASHES = ("-", "--", ":", "-.")
_Z = 1.959964  # two-sided 95% of a normal distribution


def best_lines(rows: pd.DataFrame) -> list[tuple[str, str]]:
    """Return which lines a picture shows: (run, aggregation), best with all candidates first."""
    whole = rows[rows["full"] & ~((rows["aggregation"] == "first") & _draws_several(rows))]
    best = whole.sort_values("accuracy", ascending=False, kind="stable").head(_LINES)
    return list(best[["run", "aggregation"]].itertuples(index=False, name=None))


def draw_task(rows: pd.DataFrame, paths: Sequence[Path]) -> None:
    """Draw accuracy and coverage against N, and accuracy against compute, with 95% bands.

    Args:
        rows: of `board_rows`, all of one task.
        paths: PNG or SVG files to write.
    """
    import matplotlib as mpl

    # A fixed salt: the same board gives the same bytes. A run's name is text, dollars included.
    with mpl.rc_context({"svg.hashsalt": "latent-tts", "text.parse_math": False}):
        figure = _figure(rows)
        for path in paths:
            svg = path.suffix == ".svg"
            figure.savefig(path, dpi=150, metadata={"Date": None} if svg else None)


def _figure(rows: pd.DataFrame) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12.0, 4.6), layout="constrained")
    panels = figure.subplots(1, 3)
    lines = best_lines(rows)
    kinds = list(dict.fromkeys(aggregation for _, aggregation in lines))
    for place, (run, aggregation) in enumerate(lines):
        part = rows[(rows["run"] == run) & (rows["aggregation"] == aggregation)].sort_values("n")
        dash = _DASHES[kinds.index(aggregation) % len(_DASHES)]
        look: dict[str, Any] = {"color": f"C{place}", "linestyle": dash}
        _draw_line(panels[0], part, x="n", y="accuracy", **look)
        _draw_line(panels[1], part, x="n", y="coverage", **look)
        _draw_line(panels[2], part, x="tokens", y="accuracy", **look)
    _name_axes(panels, _title(rows))
    # Given outright, because matplotlib leaves out a label that starts with an underscore.
    labels = [f"{run}, {aggregation}" for run, aggregation in lines]
    figure.legend(panels[0].lines, labels, loc="outside lower center", ncols=2, fontsize="small")
    return figure


def _draws_several(rows: pd.DataFrame) -> pd.Series:
    """Tell for each row whether its run has an aggregation beside `first`."""
    several = rows.loc[rows["aggregation"] != "first", "run"].unique()
    return rows["run"].isin(several)


def _draw_line(axes: Any, rows: pd.DataFrame, *, x: str, y: str, **look: Any) -> None:
    mean, band = 100 * rows[y], 100 * _Z * rows[f"{y}_stderr"]
    axes.plot(rows[x], mean, marker=".", **look)
    low, high = mean - band, mean + band
    axes.fill_between(rows[x], low, high, color=look["color"], alpha=0.12, linewidth=0)
    axes.vlines(rows[x], low, high, color=look["color"], alpha=0.3, linewidth=1)


def _title(rows: pd.DataFrame) -> str:
    least, most = rows["questions"].min(), rows["questions"].max()
    count = f"{most}" if least == most else f"{least} to {most}"
    return f"{rows['task'].iloc[0]}, {count} questions"


def _name_axes(panels: Sequence[Any], title: str) -> None:
    titles = (title, "coverage", "accuracy against compute")
    names = ("samples per question, N",) * 2 + ("tokens per question, N × (thoughts + answer)",)
    for axes, title, name in zip(panels, titles, names, strict=True):
        axes.set_title(title, fontsize="medium")
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter("{x:g}")
        axes.set_xlabel(name)
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("accuracy, %")
    panels[1].set_ylabel("some candidate is right, %")
    panels[2].set_ylabel("accuracy, %")

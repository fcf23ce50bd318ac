"""The curves of a task as pictures for papers and READMEs."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

_LINES = 8  # more cannot be told apart
_DASHES = ("-", "--", ":", "-.")
_Z = 1.959964  # two-sided 95% of a normal distribution


class _View(NamedTuple):
    """What a panel shows; the first panel bears the task's name instead of a title."""

    x: str
    y: str
    title: str
    x_label: str
    y_label: str


_SAMPLES = "samples per question, N"
_TOKENS = "tokens per question, N × (thoughts + answer)"
_VIEWS = (
    _View("n", "accuracy", "", _SAMPLES, "accuracy, %"),
    _View("n", "coverage", "coverage", _SAMPLES, "some candidate is right, %"),
    _View("tokens", "accuracy", "accuracy against compute", _TOKENS, "accuracy, %"),
)


def best_lines(rows: pd.DataFrame) -> list[tuple[str, str]]:
    """Return which lines a picture shows: (run, aggregation), best with all candidates first."""
    whole = rows[rows["full"] & ~((rows["aggregation"] == "first") & _draws_several(rows))]
    best = whole.sort_values("accuracy", ascending=False, kind="stable").head(_LINES)
    return list(best[["run", "aggregation"]].itertuples(index=False, name=None))


def draw_task(rows: pd.DataFrame, paths: Sequence[Path]) -> None:
    """Draw accuracy and coverage against N, and accuracy against compute, with 95% bands.

    Coverage and compute are left out where no line has any that is known.

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

    lines = best_lines(rows)
    shown = pd.concat([_line(rows, *line) for line in lines] or [rows])
    views = [view for view in _VIEWS if view is _VIEWS[0] or not _points(shown, view).empty]
    figure = Figure(figsize=(4.0 * len(views), 4.6), layout="constrained")
    panels = figure.subplots(1, len(views), squeeze=False)[0]
    kinds = list(dict.fromkeys(aggregation for _, aggregation in lines))
    for place, (run, aggregation) in enumerate(lines):
        part = _line(rows, run, aggregation)
        dash = _DASHES[kinds.index(aggregation) % len(_DASHES)]
        look: dict[str, Any] = {"color": f"C{place}", "linestyle": dash}
        for axes, view in zip(panels, views, strict=True):
            _draw_line(axes, _points(part, view), view, **look)
    _name_axes(panels, views, _title(rows))
    # Given outright, because matplotlib leaves out a label that starts with an underscore.
    labels = [f"{run}, {aggregation}" for run, aggregation in lines]
    figure.legend(panels[0].lines, labels, loc="outside lower center", ncols=2, fontsize="small")
    return figure


def _draws_several(rows: pd.DataFrame) -> pd.Series:
    """Tell for each row whether its run has an aggregation beside `first`."""
    several = rows.loc[rows["aggregation"] != "first", "run"].unique()
    return rows["run"].isin(several)


def _line(rows: pd.DataFrame, run: str, aggregation: str) -> pd.DataFrame:
    chosen = (rows["run"] == run) & (rows["aggregation"] == aggregation)
    return rows[chosen].sort_values("n")


def _points(rows: pd.DataFrame, view: _View) -> pd.DataFrame:
    """Return the rows that a panel can show: known numbers, and x on a logarithmic axis."""
    finite = rows[[view.x, view.y]].map(math.isfinite).all(axis=1)
    return rows[finite & (rows[view.x] > 0)]


def _draw_line(axes: Any, rows: pd.DataFrame, view: _View, **look: Any) -> None:
    x, y = view.x, view.y
    mean, band = 100 * rows[y], 100 * _Z * rows[f"{y}_stderr"]
    axes.plot(rows[x], mean, marker=".", **look)
    low, high = (mean - band).clip(lower=0), (mean + band).clip(upper=100)
    axes.fill_between(rows[x], low, high, color=look["color"], alpha=0.12, linewidth=0)
    axes.vlines(rows[x], low, high, color=look["color"], alpha=0.3, linewidth=1)


def _title(rows: pd.DataFrame) -> str:
    least, most = rows["questions"].min(), rows["questions"].max()
    count = f"{most}" if least == most else f"{least} to {most}"
    return f"{rows['task'].iloc[0]}, {count} questions"


def _name_axes(panels: Sequence[Any], views: Sequence[_View], title: str) -> None:
    for axes, view in zip(panels, views, strict=True):
        axes.set_title(view.title or title, fontsize="medium")
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter("{x:g}")
        axes.set_xlabel(view.x_label)
        axes.set_ylabel(view.y_label)
        axes.grid(alpha=0.3)

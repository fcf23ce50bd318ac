"""Accuracy against samples and compute: one Vega-Lite chart, for the page and for PNG and SVG."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from ..statistics import mean_interval
from .table import plus_minus

CHART = Path(__file__).with_name("chart.vl.json").read_text(encoding="utf-8")
"""The chart, with `$X` and `$Y` for the titles; its data are rows of `x`, `y` with the `y_low`,
`y_high` and `y_text` of `shown`, `line` (a colour each) and `kind` (a dash each), with `n`,
`tokens` and `questions` for tooltips."""

_LINES = 8  # more cannot be told apart
_SAMPLES = "samples per question, N"
_TOKENS = "tokens per question, N × (thoughts + answer)"
_LOOK = {
    "background": "white",
    "view": {"stroke": None},
    "axis": {"titleFontWeight": "normal", "gridOpacity": 0.6},
    "legend": {
        "orient": "bottom",
        "columns": 2,
        "labelLimit": 0,
        "symbolType": "stroke",
        "symbolOpacity": 1,
        "symbolStrokeWidth": 2,
    },
}


class _Panel(NamedTuple):
    """What a chart shows; the first bears the task's name instead of a title."""

    x: str
    y: str
    title: str
    x_title: str
    y_title: str


_PANELS = (
    _Panel("n", "accuracy", "", _SAMPLES, "accuracy, %"),
    _Panel("n", "coverage", "coverage", _SAMPLES, "some candidate is right, %"),
    _Panel("tokens", "accuracy", "accuracy against compute", _TOKENS, "accuracy, %"),
)


def shown(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return what charts show of a mean: the ends of its 95% interval, and its text.

    Args:
        table: with the columns `name`, its `_stderr`, and `questions`.
        name: of the mean.

    Returns:
        The columns `_low`, `_high` and `_text`, each behind the name.
    """
    rows = list(zip(table[name], table[f"{name}_stderr"], table["questions"], strict=True))
    found = pd.DataFrame(
        [mean_interval(mean, count) for mean, _, count in rows],
        columns=[f"{name}_low", f"{name}_high"],
    )
    found[f"{name}_text"] = [plus_minus(mean, stderr) for mean, stderr, _ in rows]
    return found.set_index(table.index)


def chart(points: pd.DataFrame, *, x_title: str, y_title: str, title: str) -> dict[str, object]:
    """Return one chart of points: x, y, y_stderr, questions, line and kind."""
    points = points.join(shown(points, "y"))
    spec = json.loads(CHART.replace("$X", x_title).replace("$Y", y_title))
    # Through JSON, which knows NumPy's numbers not, but Python's, and null for NaN.
    spec["data"]["values"] = json.loads(points.to_json(orient="records"))
    return {**spec, "title": title, "width": 380, "height": 280}


def task_chart(rows: pd.DataFrame) -> dict[str, object]:
    """Return accuracy and coverage against N, and accuracy against compute, with 95% bands.

    Runs that are not comparable with the others are left out, and coverage and compute where no
    line has any that is known.
    """
    rows = rows[rows["comparable"]]
    lines = pd.concat([_line(rows, *line) for line in best_lines(rows)] or [rows])
    parts = [(panel, _points(lines, panel)) for panel in _PANELS]
    charts = [
        chart(
            points, x_title=panel.x_title, y_title=panel.y_title, title=panel.title or _title(rows)
        )
        for panel, points in parts
        if panel is _PANELS[0] or not points.empty
    ]
    return {"hconcat": charts, "resolve": {"scale": {"color": "shared", "strokeDash": "shared"}}}


def curve_chart(table: pd.DataFrame) -> dict[str, object]:
    """Return coverage (solid) and voting (dashed) against k, a colour a run, with 95% bands."""
    parts = [
        pd.DataFrame(
            {
                "x": table["k"],
                "y": table[kind],
                "y_stderr": table[f"{kind}_stderr"],
                "questions": table["questions"],
                "line": table["run"],
                "kind": kind,
            }
        )
        for kind in ("coverage", "voting")
        if kind in table
    ]
    return chart(
        pd.concat(parts, ignore_index=True).dropna(subset="y"),
        x_title=_SAMPLES,
        y_title="questions answered right, %",
        title=_title(table),
    )


def save(spec: dict[str, object], paths: Sequence[Path]) -> None:
    """Write a chart as pictures."""
    import vl_convert

    text = json.dumps({**spec, "config": _LOOK})
    for path in paths:
        if path.suffix == ".svg":
            path.write_text(vl_convert.vegalite_to_svg(text), encoding="utf-8")
        else:
            path.write_bytes(vl_convert.vegalite_to_png(text, scale=2))


def best_lines(rows: pd.DataFrame) -> list[tuple[str, str]]:
    """Return which lines a picture shows: (run, aggregation), best with all candidates first.

    A single sample is left out where its run has an aggregation of several.
    """
    several = rows.loc[rows["n"] > 1, "run"].unique()
    most = rows.groupby(["run", "aggregation"])["n"].transform("max")
    full = rows[rows["full"] & ~((most == 1) & rows["run"].isin(several))]
    best = full.sort_values("accuracy", ascending=False, kind="stable").head(_LINES)
    return list(best[["run", "aggregation"]].itertuples(index=False, name=None))


def _line(rows: pd.DataFrame, run: str, aggregation: str) -> pd.DataFrame:
    chosen = (rows["run"] == run) & (rows["aggregation"] == aggregation)
    own = rows[chosen].sort_values("n")
    return own.assign(line=f"{run}, {aggregation}", kind=aggregation)


def _points(rows: pd.DataFrame, panel: _Panel) -> pd.DataFrame:
    """Return what a panel can show: known numbers, and x on a logarithmic axis."""
    finite = rows[[panel.x, panel.y]].map(math.isfinite).all(axis=1)
    known = rows[finite & (rows[panel.x] > 0)]
    columns = {"x": known[panel.x], "y": known[panel.y], "y_stderr": known[f"{panel.y}_stderr"]}
    return pd.DataFrame(columns | {name: known[name] for name in ("questions", "line", "kind")})


def _title(rows: pd.DataFrame) -> str:
    least, most = rows["questions"].min(), rows["questions"].max()
    count = f"{most}" if least == most else f"{least} to {most}"
    if "asked" in rows and rows["asked"].nunique() == 1:
        count = rows["asked"].iloc[0]  # 20 of 1319
    return f"{rows['task'].iloc[0]}, {count} questions"

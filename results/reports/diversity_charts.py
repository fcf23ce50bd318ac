"""Pictures of the distances of thoughts, and of thoughts in a plane."""

import json

import pandas as pd

from .table import percent

_RIGHT, _WRONG = "#4c78a8", "#e45756"


def distance_chart(table: pd.DataFrame) -> dict[str, object]:
    """Return coverage against the distance of thoughts, a point a run, with standard errors.

    Args:
        table: of `diversity_row`, of one task.
    """
    shown = table.assign(
        mean=100 * table["coverage"],
        low=100 * (table["coverage"] - table["coverage_stderr"].astype(float)),
        high=100 * (table["coverage"] + table["coverage_stderr"].astype(float)),
        left=table["distance"] - table["distance_stderr"],
        right=table["distance"] + table["distance_stderr"],
    )
    x = {"field": "distance", "type": "quantitative", "title": "mean distance of thoughts, 1 − cos"}
    y: dict[str, object] = {"type": "quantitative", "title": "some candidate is right, %"}
    y |= {"field": "mean", "scale": {"zero": False}}
    color = {"field": "sampler", "type": "nominal", "title": None}
    text = {"field": "run", "type": "nominal"}
    layers: list[dict[str, object]] = [
        {"mark": {"type": "point", "filled": True, "size": 50}, "encoding": {"y": y}},
        {"mark": "rule", "encoding": {"y": {**y, "field": "low"}, "y2": {"field": "high"}}},
        {
            "mark": "rule",
            "encoding": {"x": {**x, "field": "left"}, "x2": {"field": "right"}, "y": y},
        },
        {
            "mark": {"type": "text", "align": "left", "dx": 6, "dy": -6, "fontSize": 9},
            "encoding": {"y": y, "text": text},
        },
    ]
    questions, task = table["questions"].max(), table["task"].iloc[0]
    return {
        "title": f"{task}, {questions} questions",
        "width": 420,
        "height": 300,
        "data": {"values": _values(shown)},
        "encoding": {"x": x, "color": color},
        "layer": layers,
    }


def plane_chart(points: pd.DataFrame, name: str) -> dict[str, object]:
    """Return trajectories in the plane of each question, a line a sample, right ones in blue.

    Args:
        points: of `plane`.
        name: of the run.
    """
    share = {key: percent(own["share"].iloc[0]) for key, own in points.groupby("question")}
    shown = points.assign(
        answer=points["right"].map({True: "right", False: "wrong"}),
        panel=[f"{key} ({share[key]}% of the variance)" for key in points["question"]],
    )
    axis = {"type": "quantitative", "title": None, "axis": {"labels": False, "ticks": False}}
    encoding = {
        "x": {**axis, "field": "x"},
        "y": {**axis, "field": "y"},
        "color": {
            "field": "answer",
            "type": "nominal",
            "title": None,
            "scale": {"domain": ["right", "wrong"], "range": [_RIGHT, _WRONG]},
        },
        "detail": {"field": "sample"},
        "order": {"field": "step"},
    }
    layers: list[dict[str, object]] = [
        {"mark": {"type": "line", "opacity": 0.45}},
        {"mark": {"type": "point", "filled": True, "size": 14}},
    ]
    return {
        "title": f"Thoughts of {name}, in the plane in which they differ most",
        "data": {"values": _values(shown)},
        "facet": {"field": "panel", "type": "nominal", "title": None, "columns": 2},
        "columns": 2,
        "resolve": {"scale": {"x": "independent", "y": "independent"}},
        "spec": {"width": 260, "height": 220, "encoding": encoding, "layer": layers},
    }


def _values(table: pd.DataFrame) -> list[dict[str, object]]:
    """Return rows as JSON knows them: Python's numbers, and null for NaN."""
    rows: list[dict[str, object]] = json.loads(table.to_json(orient="records"))
    return rows

"""`latent-tts compare`: comparisons as tables and as JSON."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import pandas as pd

from .comparison import Comparison, Row, compare_sides
from .errors import ResultsError
from .files import writing
from .sides import Side, build_sides, group_by_setup, load_all, shared_tasks


def describe(side: Side) -> str:
    """Return one line that tells what made a side's candidates."""
    config = side.runs[0].config
    seeds = ", ".join(str(run.config.seed) for run in side.runs)
    parts = [
        config.checkpoint,
        f"{config.sampler} {'' if config.strength is None else f'{config.strength:g}'}".strip(),
        f"N = {config.samples}",
        f"seed {seeds}",
    ]
    if config.reward_model:
        parts.append(f"reward model {config.reward_model}")
    return f"{side.name} ({'; '.join(parts)})"


def as_text(comparison: Comparison) -> str:
    """Return a comparison as tables for a terminal."""
    lines = [f"{comparison.task}, {comparison.questions} questions"]
    lines += [
        f"  {mark}: {describe(side)}" for mark, side in zip("AB", comparison.sides, strict=False)
    ]
    if comparison.metrics:
        lines += ["", _table(comparison.metrics, ("A", "B"))]
    for name, rows in comparison.strategies.items():
        if rows:
            lines += ["", f"Strategies in {name}:", _table(rows, ("first", "second"))]
    for name, floors in comparison.noise.items():
        table = pd.DataFrame([asdict(floor) for floor in floors.values()], index=list(floors))
        lines += ["", f"Noise between seeds of {name}:", _render(table)]
    for name, metrics in comparison.left_out.items():
        lines += ["", f"Not on all sides, but in {name}: {', '.join(metrics)}."]
    return "\n".join(lines)


def as_json(comparison: Comparison) -> dict[str, Any]:
    """Return a comparison as plain JSON objects."""
    return {
        "task": comparison.task,
        "questions": comparison.questions,
        "sides": [
            {"name": side.name, "runs": [str(run.results) for run in side.runs]}
            for side in comparison.sides
        ],
        "metrics": [asdict(row) for row in comparison.metrics],
        "strategies": {
            name: [asdict(row) for row in rows] for name, rows in comparison.strategies.items()
        },
        "noise": {
            name: {metric: asdict(floor) for metric, floor in floors.items()}
            for name, floors in comparison.noise.items()
        },
        "left_out": comparison.left_out,
    }


def _table(rows: Sequence[Row], sides: tuple[str, str]) -> str:
    table = pd.DataFrame(
        {
            f"{sides[0]} ± stderr": f"{row.a:.4f} ± {row.a_stderr:.4f}",
            f"{sides[1]} ± stderr": f"{row.b:.4f} ± {row.b_stderr:.4f}",
            "difference": row.paired.difference,
            "low": row.paired.low,
            "high": row.paired.high,
            f"only {sides[0]}": str(row.mcnemar.only_a) if row.mcnemar else "–",
            f"only {sides[1]}": str(row.mcnemar.only_b) if row.mcnemar else "–",
            "McNemar p": f"{row.mcnemar.p:.2g}" if row.mcnemar else "–",
        }
        for row in rows
    )
    table.index = pd.Index([row.metric for row in rows])
    return _render(table)


def _render(table: pd.DataFrame) -> str:
    return table.to_string(float_format="{:.4f}".format, na_rep="–")


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--k", "ks", multiple=True, type=int, help="A further sample count; repeatable.")
@click.option("--confidence", default=0.95, show_default=True, help="Of the intervals.")
@click.option("--json", "output", type=click.Path(path_type=Path), help="Also write this file.")
def compare(
    runs: Sequence[Path], ks: Sequence[int], confidence: float, output: Path | None
) -> None:
    """Compare two runs, or one run's strategies, on the same questions.

    RUNS are --output_path folders of lm_eval runs with --log_samples, or their results files. Two
    runs are A and B. Of more, those that differ in their seed alone are one side, which counts by
    its mean over seeds. Differences are A − B, with bootstrap intervals over questions; "only A"
    and "only B" count questions that one side alone has right, p is McNemar's exact one. The noise
    between seeds: "spread" is the standard deviation of a run's mean, "paired_spread" that of the
    difference between two runs.
    """
    loaded = load_all(runs)
    comparisons = []
    for task in shared_tasks(loaded):
        members = [by_task[task] for by_task in loaded]
        groups = [[run] for run in members] if len(members) == 2 else group_by_setup(members)
        if len(groups) > 2:
            raise ResultsError(
                f"The runs of {task} have {len(groups)} different settings, "
                f"{', '.join(group[0].name for group in groups)}; compare two at a time. More runs "
                "than two must differ from these in their seed alone."
            )
        comparisons.append(compare_sides(build_sides(groups, ks=ks), confidence=confidence))
    click.echo("\n\n".join(map(as_text, comparisons)))
    if output:
        text = json.dumps([as_json(comparison) for comparison in comparisons], indent=2)
        with writing(output):
            output.parent.mkdir(parents=True, exist_ok=True)
            output.write_text(f"{text}\n", encoding="utf-8")

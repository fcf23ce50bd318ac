"""`latent-tts pool import`: a pool file becomes a run folder like those that lm_eval writes."""

import hashlib
import json
import re
from collections.abc import Sequence
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
import pandas as pd

from ..tasks import LOWER_IS_BETTER, NEUTRAL, default_ks, pool_metrics, read_tolerance
from .errors import ResultsError
from .files import writing
from .pools import PoolLine, read_pools


def write_run(
    lines: Sequence[PoolLine],
    folder: Path,
    *,
    task: str,
    name: str,
    source_sha256: str,
    seed: int | None = None,
    ks: Sequence[int] = (),
    tolerance: str = "0",
) -> Path:
    """Write a results file and a sample log in lm-eval's format.

    Args:
        lines: the questions with their pools.
        folder: of the run.
        task: that the questions belong to.
        name: of what made the candidates.
        source_sha256: digest of the file that they came from.
        seed: of the candidates, where one is known.
        ks: sample counts; powers of two, up to the smallest pool, if empty.
        tolerance: difference from the gold answer that counts as right, a decimal.

    Returns:
        The results file.

    Raises:
        ResultsError: a k is larger than a pool.
    """
    smallest = min(lines, key=lambda line: len(line.pool.candidates))
    count = len(smallest.pool.candidates)
    for k in ks:
        if not 1 <= k <= count:
            raise ResultsError(
                f"k = {k} cannot be used: {smallest.where} has {count} candidates, and 1 <= k <= "
                f"{count} must hold. Ask for other ks, or give more candidates."
            )
    table = _judge(lines, ks=ks or default_ks(count), tolerance=tolerance)
    date = datetime.now().isoformat().replace(":", "-")
    # Without dots at its ends: `..` would lead out of the folder.
    made = folder / (re.sub(r"[^\w.-]+", "_", name).strip(".") or "pool")
    rows = enumerate(zip(lines, table.to_dict("records"), strict=True))
    log = "".join(f"{json.dumps(_sample(place, line, row))}\n" for place, (line, row) in rows)
    content = _content(
        table, task=task, name=name, folder=made.name, tolerance=tolerance, count=count
    )
    made_by = content["config"]["latent_tts"]
    made_by["checkpoint"]["weights_sha256"] = source_sha256
    made_by["settings"]["seed"] = seed
    results = made / f"results_{date}.json"
    with writing(made):
        made.mkdir(parents=True, exist_ok=True)
        with (made / f"samples_{task}_{date}.jsonl").open("x", encoding="utf-8") as stream:
            stream.write(log)
        results.write_text(json.dumps(content, indent=2), encoding="utf-8")
    return results


def _judge(lines: Sequence[PoolLine], *, ks: Sequence[int], tolerance: str) -> pd.DataFrame:
    """Return the metrics that all questions have, a row a question."""
    rows = []
    for line in lines:
        metrics = pool_metrics(
            line.pool, line.question.gold, ks=ks, tolerance=read_tolerance(tolerance)
        )
        unknown = {"thoughts", "answer_tokens", "truncated"} - line.counted
        rows.append({key: value for key, value in metrics.items() if key not in unknown})
    return pd.DataFrame(rows).dropna(axis=1)


def _sample(place: int, line: PoolLine, metrics: dict[Any, Any]) -> dict[str, Any]:
    question = line.question
    doc = {"id": question.id, "question": question.text, "answer": question.gold}
    return {
        "doc_id": place,
        "doc": {key: value for key, value in doc.items() if value},
        "target": question.gold,
        "arguments": {},
        "resps": [[line.pool.to_json()]],
        "filtered_resps": [],
        "filter": "none",
        "metrics": list(metrics),
        **metrics,
    }


def _content(
    table: pd.DataFrame, *, task: str, name: str, folder: str, tolerance: str, count: int
) -> dict[str, Any]:
    errors = table.sem()
    numbers: dict[str, Any] = {"name": task, "alias": task, "sample_len": len(table)}
    for metric in table:
        numbers[f"{metric},none"] = float(table[metric].mean())
        known = len(table) > 1
        numbers[f"{metric}_stderr,none"] = float(errors[metric]) if known else "N/A"
    better = {metric: metric not in LOWER_IS_BETTER for metric in table if metric not in NEUTRAL}
    return {
        "results": {task: numbers},
        "configs": {task: {"task": task, "repeats": 1, "metadata": {"tolerance": tolerance}}},
        "versions": {task: None},
        "higher_is_better": {task: better},
        "n-samples": {task: {"original": len(table), "effective": len(table)}},
        "config": {
            "model": "imported",
            "latent_tts": {
                "checkpoint": {"name": name},
                "settings": {"num_return_sequences": count},
                "versions": {"latent-tts": version("latent-tts")},
            },
        },
        "model_name_sanitized": folder,
    }


def _tell_unscored(lines: Sequence[PoolLine]) -> None:
    """Say why metrics of rewards are left out where some lines have rewards and others none."""
    without = [line for line in lines if all(one.reward is None for one in line.pool.candidates)]
    if 0 < len(without) < len(lines):
        click.echo(
            f"note: best_of_n left out: {without[0].where} has no rewards, like {len(without)} of "
            f"{len(lines)} lines. Weighted voting needs them too; null is a reward that is no "
            "number.",
            err=True,
        )


@click.group()
def pool() -> None:
    """Candidates made by other programs."""


@pool.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--output", required=True, type=click.Path(path_type=Path), help="Run folder.")
@click.option("--task", default="imported", show_default=True, help="That was asked.")
@click.option("--name", help="Of what made the candidates; the file's name if not given.")
@click.option("--seed", type=int, help="Of the candidates.")
@click.option("--tolerance", default="0", show_default=True, help="From the gold answer.")
@click.option("--k", "ks", multiple=True, type=int, help="Sample counts; repeatable.")
def import_pool(
    file: Path,
    output: Path,
    task: str,
    name: str | None,
    seed: int | None,
    tolerance: str,
    ks: Sequence[int],
) -> None:
    """Judge the candidates in FILE and write them as a run folder, which all commands read.

    FILE holds one JSON object a line: {"id", "question", "gold", "candidates": [{"answer",
    "text", "reward"}, …]}; question, text and reward may be left out.
    """
    if not re.fullmatch(r"[\w.-]+", task):
        raise ResultsError(
            f"--task {task!r} becomes part of a file's name; letters, digits and _ . - are allowed."
        )
    lines = read_pools(file)
    _tell_unscored(lines)
    results = write_run(
        lines,
        output,
        task=task,
        name=name or file.name.partition(".")[0],
        source_sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
        seed=seed,
        ks=ks,
        tolerance=tolerance,
    )
    click.echo(results)

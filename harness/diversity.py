"""The thoughts that a store keeps of runs, as a table and pictures of how far they lie apart."""

import re
from collections.abc import Container, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from ..results import ResultsError, Run, read_log
from ..results.reports.charts import save
from ..results.reports.diversity import Sampled, diversity_row, most_mixed, plane
from ..results.reports.diversity_charts import distance_chart, plane_chart
from ..results.reports.table import plus_minus, rounded
from .run_model import load_run_model, run_settings
from .stores import Stores

_PLANES = 4  # questions in a picture


def write_diversity(
    runs: Mapping[str, Mapping[str, Run]], store: Path, output: Path, *, planes: Container[str]
) -> tuple[pd.DataFrame, list[Path]]:
    """Write `diversity.csv` and the pictures, of every run that sampled thoughts.

    Args:
        runs: by name and task.
        store: that all of them wrote.
        output: a folder.
        planes: names of the runs whose thoughts are drawn in a plane.

    Returns:
        The table, and the pictures.

    Raises:
        ResultsError: the store lacks thoughts of a run.
        ModelError: a run's model cannot be loaded.
    """
    rows, pictures = [], []
    members = [
        (name, run)
        for name, by_task in runs.items()
        for run in by_task.values()
        if (run.mean("thoughts") or 0) > 0 and (run.config.samples or 1) > 1
    ]
    for name, run in tqdm(members, desc="Thoughts"):
        sampled = stored_samples(run, store)
        rows.append(diversity_row(name, run, sampled))
        mixed = most_mixed(sampled, _PLANES) if name in planes else []
        if mixed:
            stem = re.sub(r"[^\w.=-]+", "-", f"{run.task}-{name}")
            pictures += [output / f"{stem}.{end}" for end in ("png", "svg")]
            save(plane_chart(plane(mixed), name), pictures[-2:])
    table = pd.DataFrame(rows)
    if table.empty:
        raise ResultsError("No run has sampled thoughts. Leave --store out.")
    table.to_csv(output / "diversity.csv", index=False, float_format="%.8g")
    for task, own in table.groupby("task"):
        pictures += [output / f"{task}-diversity.{end}" for end in ("png", "svg")]
        save(distance_chart(own), pictures[-2:])
    return table, pictures


def stored_samples(run: Run, store: Path) -> list[Sampled]:
    """Return the questions of a run with the thoughts of all their candidates.

    Raises:
        ResultsError: the store lacks some.
    """
    model, tokenizer = load_run_model(run.config)
    stores = Stores(store, model, None, keep_thoughts=True, need_thoughts=True)
    kept = stores.of(run_settings(model, run.config), questions=0)
    found = []
    for line in read_log(run):
        pool, question = line.pool(), line.question
        samples = kept.find(model.encode_prompt(tokenizer, question.text), len(pool.candidates))
        if len(samples) < len(pool.candidates):
            raise ResultsError(
                f"{line.where}: the store {store} has the thoughts of {len(samples)} of the "
                f"{len(pool.candidates)} candidates of question {question.id!r}. Name the --store "
                "of runs with store_thoughts=true."
            )
        thoughts = tuple(np.asarray(one.states, dtype=np.float32) for one in samples)
        if [*map(len, thoughts)] != [one.thoughts for one in pool.candidates]:
            raise ResultsError(
                f"{line.where}: the candidates of question {question.id!r} have other numbers of "
                f"thoughts in the log than in the store {store}. Name the store of this run."
            )
        right = tuple(question.is_right(one.answer) for one in pool.candidates)
        found.append(Sampled(question.id, thoughts, right))
    return found


def diversity_markdown(table: pd.DataFrame) -> str:
    """Return the table as Markdown, the least distances first."""
    head = ["run", "task", "sampler", "distance of thoughts", "pass@1", "coverage@N", "vote@N", "n"]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for row in table.sort_values(["task", "distance"]).to_dict("records"):
        distance, stderr = (rounded(row[key], 4) for key in ("distance", "distance_stderr"))
        cells = [row["run"], row["task"], f"{row['sampler']} {row['strength']:g}"]
        cells += [f"{distance} ± {stderr}"]
        cells += [plus_minus(row[k], row[f"{k}_stderr"]) for k in ("pass@1", "coverage", "vote")]
        lines.append("| " + " | ".join([*map(str, cells), str(row["questions"])]) + " |")
    return "\n".join(lines)

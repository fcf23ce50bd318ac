"""Pools of another program, written as a run folder like those of lm-eval."""

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

import msgspec
import pandas as pd

from ...tasks import LOWER_IS_BETTER, NEUTRAL, default_ks, pool_metrics, read_tolerance
from ..errors import ResultsError
from ..runs.lm_eval_fields import Asked, Config, Made, Model, ResultsFile, TaskConfig
from ..runs.lm_eval_files import write_files
from .line import COUNTED, PoolLine


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
    judge: str = "number",
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
        judge: the name of the judge of the answers.

    Returns:
        The results file.

    Raises:
        ResultsError: the task's name cannot be a file's, or a k is larger than a pool.
    """
    if not re.fullmatch(r"[\w.-]+", task):
        raise ResultsError(
            f"--task {task!r} becomes part of a file's name; letters, digits and _ . - are allowed."
        )
    smallest = min(lines, key=lambda line: len(line.pool.candidates))
    count = len(smallest.pool.candidates)
    for k in ks:
        if not 1 <= k <= count:
            raise ResultsError(
                f"k = {k} cannot be used: {smallest.where} has {count} candidates, and 1 <= k <= "
                f"{count} must hold. Ask for other ks, or give more candidates."
            )
    table = judged_table(lines, ks=ks or default_ks(count), tolerance=tolerance, judge=judge)
    # Without dots at its ends: `..` would lead out of the folder.
    model = re.sub(r"[^\w.-]+", "_", name).strip(".") or "pool"
    metadata: dict[str, object] = {"tolerance": tolerance, "judge": judge}
    content = ResultsFile(
        results={task: task_numbers(table, task)},
        configs={task: TaskConfig(task=task, repeats=1, metadata=metadata)},
        versions={task: None},
        higher_is_better={task: directions(table)},
        asked={task: Asked(original=len(table), effective=len(table))},
        config=Config(
            model="imported",
            latent_tts=Made(
                checkpoint=Model(name=name, weights_sha256=source_sha256),
                settings={"num_return_sequences": count, "seed": seed},
                versions={"latent-tts": version("latent-tts")},
            ),
        ),
        model_name_sanitized=model,
    )
    date = datetime.now().isoformat().replace(":", "-")
    return write_files(folder / model, date, content, {task: log_lines(lines, table)})


def unscored(lines: Sequence[PoolLine]) -> list[PoolLine]:
    """Return the lines without rewards, where others have some: so no metric of rewards is known.

    A line whose rewards are null has rewards, which are no numbers.
    """
    without = [line for line in lines if all(one.reward is None for one in line.pool.candidates)]
    return without if len(without) < len(lines) else []


def judged_table(
    lines: Sequence[PoolLine], *, ks: Sequence[int], tolerance: str, judge: str
) -> pd.DataFrame:
    """Return the metrics that all questions have, a row a question."""
    rows = []
    for line in lines:
        pool, gold = line.pool.judged_by(judge), line.question.gold
        metrics = pool_metrics(pool, gold, ks=ks, tolerance=read_tolerance(tolerance))
        unknown = COUNTED - line.counted
        rows.append({key: value for key, value in metrics.items() if key not in unknown})
    return pd.DataFrame(rows).dropna(axis=1)


def task_numbers(table: pd.DataFrame, task: str) -> dict[str, object]:
    """Return what lm-eval's results file says of a task: means with their standard errors."""
    errors = table.sem()
    numbers: dict[str, object] = {"name": task, "alias": task, "sample_len": len(table)}
    for metric in table:
        numbers[f"{metric},none"] = float(table[metric].mean())
        known = len(table) > 1
        numbers[f"{metric}_stderr,none"] = float(errors[metric]) if known else "N/A"
    return numbers


def directions(table: pd.DataFrame) -> dict[str, bool | None]:
    """Return of each metric that has a direction whether more of it is better."""
    return {str(name): name not in LOWER_IS_BETTER for name in table if name not in NEUTRAL}


def log_lines(lines: Sequence[PoolLine], table: pd.DataFrame) -> Iterator[bytes]:
    """Yield the lines of a sample log: each question with its pool and its metrics."""
    for index, (line, metrics) in enumerate(zip(lines, table.to_dict("records"), strict=True)):
        question = line.question
        doc = {"id": question.id, "question": question.text, "answer": question.gold}
        sample = {
            "doc_id": index,
            "doc": {key: value for key, value in doc.items() if value},
            "target": question.gold,
            "arguments": {},
            "resps": [[line.pool.to_json()]],
            "filtered_resps": [],
            "filter": "none",
            "metrics": list(metrics),
            **metrics,
        }
        yield msgspec.json.encode(sample) + b"\n"

"""A result for a model's page on the Hugging Face hub: `.eval_results/<name>.yaml` in its folder.

The hub shows one value a file, on the page of a benchmark that it knows.
"""

import re
from datetime import datetime
from pathlib import Path

import yaml

from ..errors import ResultsError
from ..runs import Run
from ..runs.metrics import find_metric
from .fields import published_set
from .files import write_new

_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)


def write_eval_result(
    run: Run,
    folder: Path,
    *,
    task_id: str,
    dataset: str | None = None,
    metric: str = "voting",
    percent: bool = False,
    source_url: str | None = None,
) -> Path:
    """Write one value of a run.

    Args:
        run: that it is of, on a whole set.
        folder: of the model's repository.
        task_id: what the benchmark's `eval.yaml` calls the task.
        dataset: the benchmark on the hub; that of the run's task if not given.
        metric: a metric's name, or a strategy's for all candidates.
        percent: whether the value is written in percent, and not as a share.
        source_url: where the run itself can be read.

    Returns:
        The file.

    Raises:
        ResultsError: no data set is known or its name is none, a part of it was asked, there is
            no such metric, or the file is there already or cannot be written.
    """
    if run.limited:
        raise ResultsError(
            f"{run.name} asked {run.questions} of {run.task_questions} questions (--limit): that "
            "is no result on the benchmark. Run all of them."
        )
    if dataset is not None and not _REPOSITORY.fullmatch(dataset):
        raise ResultsError(
            f"--dataset {dataset!r} must be org/name, as on the hub: letters, digits and .-_ in "
            "both parts."
        )
    published = published_set(run)
    hub = published.hub if published else None
    dataset = dataset or (hub.path if hub else None)
    if dataset is None:
        raise ResultsError(
            f"{run.task} with {run.questions} questions is no set that is known to lie on the hub: "
            "name the benchmark, --dataset org/name."
        )
    name = find_metric(metric, list(run.metrics), where=run.name)
    value, stderr = run.metrics[name]
    scale = 100 if percent else 1
    entry: dict[str, object] = {
        "dataset": {"id": dataset, "task_id": task_id},
        "value": round(value * scale, 6),
        "date": datetime.strptime(run.date[:19], "%Y-%m-%dT%H-%M-%S").isoformat(),
    }
    if source_url is not None:
        entry["source"] = {"url": source_url, "name": "latent-tts"}
    entry["notes"] = _notes(run, name, None if stderr is None else stderr * scale)
    path = folder / ".eval_results" / f"{run.task}_{re.sub('[^0-9A-Za-z]+', '_', name)}.yaml"
    write_new({path: yaml.safe_dump([entry], sort_keys=False, allow_unicode=True).encode()})
    return path


def _notes(run: Run, metric: str, stderr: float | None) -> str:
    """Return in words what the value is, without which it cannot be compared."""
    config = run.config
    strength = "" if config.strength is None else f" {config.strength:g}"
    parts = [
        f"{metric} of {config.samples} candidates",
        f"{config.sampler}{strength}",
        f"seed {config.seed}" if config.seed is not None else None,
        f"reward model {config.reward_model}" if config.reward_model else None,
        f"{run.questions} questions",
        f"standard error {stderr:.4f}" if stderr is not None else None,
        "latent-tts",
    ]
    return ", ".join(part for part in parts if part)

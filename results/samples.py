"""Read the sample logs that `lm_eval --output_path DIR --log_samples` writes."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..tasks import Pool, TaskError, is_pool, join_pools


@dataclass(frozen=True)
class RunSamples:
    """One task's pools of one run.

    Attributes:
        name: what the run is called in tables and pictures.
        task: that was run.
        pools: one a question.
        golds: the right answers, in the same order.
    """

    name: str
    task: str
    pools: tuple[Pool, ...]
    golds: tuple[str, ...]


def find_samples(folder: Path) -> list[Path]:
    """Return the sample logs under a folder, newest first within each task.

    Raises:
        TaskError: there is none.
    """
    files = sorted(folder.rglob("samples_*.jsonl"), key=lambda file: file.name, reverse=True)
    if not files:
        raise TaskError(
            f"No samples_*.jsonl under {str(folder)!r}; run lm_eval with --log_samples and "
            "--output_path naming that folder."
        )
    return files


def read_samples(file: Path, *, name: str) -> RunSamples:
    """Read one sample log of the run `name`; with `repeats` a question's pools are joined.

    Raises:
        TaskError: a line is not JSON or holds no pool, with file and line named; or there is none.
    """
    questions, golds = [], []
    for number, sample in _lines(file):
        responses = [response for group in sample.get("resps", []) for response in group]
        if not responses or not all(is_pool(str(response)) for response in responses):
            raise TaskError(
                f"{file}:{number} holds no pool of candidates: only this project's tasks, run with "
                "--model latent_tts, log them."
            )
        questions.append([Pool.from_json(response) for response in responses])
        golds.append(str(sample["target"]))
    if not questions:
        raise TaskError(f"{file} holds no samples. Run again.")
    # Several processes pad the last question with copies, which are not its candidates.
    repeats = min(map(len, questions))
    pools = tuple(join_pools(pools[:repeats]) for pools in questions)
    task = file.name.removeprefix("samples_").rsplit("_", 1)[0]
    return RunSamples(name, task, pools, tuple(golds))


def _lines(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                sample = json.loads(line)
            except json.JSONDecodeError as error:
                raise TaskError(
                    f"{file}:{number} is not JSON ({error}): the file was cut off. Run again."
                ) from error
            yield number, sample

"""Read the sample logs that `lm_eval --output_path DIR --log_samples` writes."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ..tasks import Pool, Question, TaskError, is_pool, join_pools
from .errors import ResultsError
from .files import DAMAGED, open_log, task_of


@dataclass(frozen=True)
class RunSamples:
    """One task's pools of one run.

    Attributes:
        name: what the run is called in tables and pictures.
        task: that was run.
        questions: in the order of the log; the text is "" where the log has none.
        pools: one a question, in the same order.
    """

    name: str
    task: str
    questions: tuple[Question, ...]
    pools: tuple[Pool, ...]

    @property
    def golds(self) -> tuple[str, ...]:
        """The right answers, in the order of the questions."""
        return tuple(question.gold for question in self.questions)


@dataclass(frozen=True)
class QuestionMetrics:
    """What lm-eval logged of each question of one task.

    Attributes:
        questions: in the order of the log; the text is "" where the log has none.
        table: a row a question, a column a metric that every question has; ids as index.
    """

    questions: tuple[Question, ...]
    table: pd.DataFrame


def find_samples(folder: Path) -> list[Path]:
    """Return the sample logs under a folder, newest first within each task.

    Raises:
        ResultsError: there is none.
    """
    files = sorted(folder.rglob("samples_*.jsonl*"), key=lambda file: file.name, reverse=True)
    if not files:
        raise ResultsError(
            f"No samples_*.jsonl under {str(folder)!r}; run lm_eval with --log_samples and "
            "--output_path naming that folder."
        )
    return files


def read_samples(file: Path, *, name: str) -> RunSamples:
    """Read one sample log of the run `name`; with `repeats` a question's pools are joined.

    Raises:
        ResultsError: a line is not JSON or holds no pool, with file and line named; a question
            comes twice; or there is none.
    """
    questions, pools = [], []
    for where, sample in _first_filter(file):
        questions.append(_question(sample, where=where))
        pools.append(_read_pools(sample, where=where))
    # Several processes pad the last question with copies, which are not its candidates.
    repeats = min(map(len, pools))
    joined = tuple(join_pools(several[:repeats]) for several in pools)
    return RunSamples(name, task_of(file), tuple(questions), joined)


def read_metrics(file: Path) -> QuestionMetrics:
    """Read what lm-eval logged of each question, without reading the pools.

    Raises:
        ResultsError: as for `read_samples`.
    """
    rows, questions = [], []
    for where, sample in _first_filter(file):
        questions.append(_question(sample, where=where))
        try:
            rows.append({metric: float(sample[metric]) for metric in sample["metrics"]})
        except (KeyError, TypeError, ValueError) as error:
            raise ResultsError(
                f"{where} lacks a metric that it lists ({error!r}). Run again."
            ) from error
    index = pd.Index([question.id for question in questions], name="question")
    return QuestionMetrics(tuple(questions), pd.DataFrame(rows, index=index).dropna(axis=1))


def _first_filter(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the place and content of each line of the log's first filter."""
    kept, seen = None, set()
    for where, sample in _lines(file):
        kept = sample.get("filter") if kept is None else kept
        if sample.get("filter") != kept:
            continue
        key = _id(sample)
        if key in seen:
            raise ResultsError(
                f"{where}: question {key!r} comes a second time. Two runs wrote into one log, or "
                "the data has an id twice."
            )
        seen.add(key)
        yield where, sample
    if not seen:
        raise ResultsError(f"{file} holds no samples. Run again.")


def _lines(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    number = 0
    try:
        with open_log(file) as lines:
            for number, line in enumerate(lines, start=1):
                sample = json.loads(line)
                if not isinstance(sample, dict):
                    raise ValueError(f"no object but {line[:20]!r}")
                yield f"{file}:{number}", sample
    except (ValueError, RecursionError, *DAMAGED) as error:
        place = number + isinstance(error, DAMAGED)
        raise ResultsError(
            f"{file}:{place} is not JSON ({error}): the file was cut off. Run again."
        ) from error


def _id(sample: Mapping[str, Any]) -> str:
    doc = sample.get("doc")
    own = doc.get("id") if isinstance(doc, Mapping) else None
    return str(sample.get("doc_id") if own is None else own)


def _question(sample: Mapping[str, Any], *, where: str) -> Question:
    if "target" not in sample:
        raise ResultsError(f"{where} has no gold answer ('target'). Run again.")
    doc = sample.get("doc")
    text = doc.get("question") if isinstance(doc, Mapping) else None
    if text is None:  # a task of one's own may call it otherwise: then the prompt tells
        text = sample.get("arguments", {}).get("gen_args_0", {}).get("arg_0", "")
    return Question(id=_id(sample), text=str(text), gold=str(sample["target"]))


def _read_pools(sample: Mapping[str, Any], *, where: str) -> list[Pool]:
    responses = [response for group in sample.get("resps", []) for response in group]
    if not responses or not all(is_pool(str(response)) for response in responses):
        raise ResultsError(
            f"{where} holds no pool of candidates: only this project's tasks, run with "
            "--model latent_tts, log them."
        )
    try:
        return [Pool.from_json(response) for response in responses]
    except TaskError as error:
        raise ResultsError(f"{where}: {error}") from error

"""Where the questions of each benchmark come from.

Each function is a `custom_dataset` of lm-eval: it is called with the task's metadata (model
arguments among them) as keywords and returns the one split `test`, rows of id, question and answer,
all strings. Real sets come from the Hugging Face hub, or from a local folder that `data_dir` in the
metadata or `LATENT_TTS_DATA` in the environment names; the arithmetic sets ship with the package.
Questions that cannot be read are a `TaskError`.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import TaskError
from .question import Question, question_from, read_questions

if TYPE_CHECKING:
    from datasets import Dataset

DATA_VARIABLE = "LATENT_TTS_DATA"
"""The environment variable that names the folder of local JSONL files."""

_SHIPPED = Path(__file__).parent / "arith"
_Row = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class _Benchmark:
    """A published set: its local file, its place on the hub, and how to read a hub row.

    Attributes:
        file: name in a local folder.
        path: data set on the hub.
        config: configuration there, None for the only one.
        split: split there.
        read: makes question and answer of a hub row.
    """

    file: str
    path: str
    config: str | None
    split: str
    read: Callable[[_Row], tuple[str, object]]


_GSM8K = _Benchmark(
    file="gsm8k_test.jsonl",
    path="openai/gsm8k",
    config="main",
    split="test",
    # The worked solution ends in '#### 1,200'.
    read=lambda row: (row["question"], row["answer"].rpartition("####")[2]),
)
_GSM_HARD = _Benchmark(
    file="gsm_hard.jsonl",
    path="reasoning-machines/gsm-hard",
    config=None,
    split="train",  # the only split there; nobody trains on it
    read=lambda row: (row["input"], row["target"]),
)
_MULTIARITH = _Benchmark(
    file="multiarith.jsonl",
    path="ChilleD/MultiArith",
    config=None,
    split="test",
    read=lambda row: (row["question"], row["final_ans"]),
)


def gsm8k(**options: Any) -> dict[str, "Dataset"]:
    """Return GSM8K's test split (1319 questions)."""
    return _load(_GSM8K, options)


def gsm_hard(**options: Any) -> dict[str, "Dataset"]:
    """Return GSM-Hard: GSM8K's test questions with larger numbers."""
    return _load(_GSM_HARD, options)


def multiarith(**options: Any) -> dict[str, "Dataset"]:
    """Return MultiArith's test split."""
    return _load(_MULTIARITH, options)


def arith(**options: Any) -> dict[str, "Dataset"]:
    """Return the arithmetic word problems that ship with the package."""
    return _test_split(read_questions(_SHIPPED / "arith_test.jsonl"))


def arith_hard(**options: Any) -> dict[str, "Dataset"]:
    """Return the harder arithmetic word problems that ship with the package."""
    return _test_split(read_questions(_SHIPPED / "arith_hard_test.jsonl"))


def _load(benchmark: _Benchmark, options: Mapping[str, Any]) -> dict[str, "Dataset"]:
    folder = options.get("data_dir") or os.environ.get(DATA_VARIABLE)
    if folder:
        # A folder that was named but lacks the file is an error, never a silent download.
        return _test_split(read_questions(Path(str(folder)).expanduser() / benchmark.file))
    return _test_split(_from_hub(benchmark))


def _from_hub(benchmark: _Benchmark) -> list[Question]:
    import datasets  # takes a second to import, and only this path needs it

    try:
        rows = datasets.load_dataset(benchmark.path, benchmark.config, split=benchmark.split)
    # Any failure to download means the same to the user, and the errors share no base class.
    except Exception as error:
        raise TaskError(
            f"cannot load {benchmark.path} from the Hugging Face hub ({type(error).__name__}: "
            f"{error}). Without network, put {benchmark.file} into a folder, one "
            '{"id", "question", "answer"} object a line, and name the folder: '
            f"--metadata data_dir=FOLDER, or {DATA_VARIABLE}=FOLDER in the environment."
        ) from error
    questions = []
    for index, row in enumerate(rows):
        where = f"{benchmark.path}, row {index}"
        try:
            text, answer = benchmark.read(row)
        except KeyError as error:
            raise TaskError(
                f"{where}: field {error} is missing, found {sorted(row)}; the data set on the hub "
                f"has changed. Use a local {benchmark.file} instead ({DATA_VARIABLE})."
            ) from error
        fields = {"id": str(index), "question": text, "answer": str(answer)}
        questions.append(question_from(fields, where=where))
    return questions


def _test_split(questions: list[Question]) -> dict[str, "Dataset"]:
    import datasets

    rows = [{"id": q.id, "question": q.text, "answer": q.gold} for q in questions]
    return {"test": datasets.Dataset.from_list(rows)}

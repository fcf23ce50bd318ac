"""Where the questions of each benchmark come from.

Each function is a `custom_dataset` of lm-eval: it is called with the task's metadata (model
arguments among them) as keywords and returns the split `test`, rows of id, question and answer, all
strings, and for the arithmetic sets `train`, worked examples to show. Published sets
(`published.py`) come from the Hugging Face hub, or from a local folder that `data_dir` in the
metadata or `LATENT_TTS_DATA` in the environment names; the arithmetic sets ship with the package.
Questions that cannot be read are a `TaskError`.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from .arith import generate
from .errors import TaskError
from .published import PUBLISHED, Hub, Published
from .question import Question, question_from, read_questions
from .solved import Solved

if TYPE_CHECKING:
    from datasets import Dataset

DATA_VARIABLE = "LATENT_TTS_DATA"
"""The environment variable that names the folder of local JSONL files."""

EXAMPLES = 100
"""How many worked examples the arithmetic tasks have, in the split `train`."""

_SHIPPED = Path(__file__).parent / "arith"


def gsm8k(**options: Any) -> dict[str, "Dataset"]:
    """Return GSM8K's test split."""
    return _load("gsm8k", options)


def gsm_hard(**options: Any) -> dict[str, "Dataset"]:
    """Return GSM-Hard: GSM8K's test questions with larger numbers."""
    return _load("gsm_hard", options)


def gsm_hard_1318(**options: Any) -> dict[str, "Dataset"]:
    """Return GSM-Hard as LatentTTS evaluates it."""
    return _load("gsm_hard_1318", options)


def multiarith(**options: Any) -> dict[str, "Dataset"]:
    """Return MultiArith's test split."""
    return _load("multiarith", options)


def multiarith_580(**options: Any) -> dict[str, "Dataset"]:
    """Return MultiArith as LatentTTS evaluates it."""
    return _load("multiarith_580", options)


def svamp(**options: Any) -> dict[str, "Dataset"]:
    """Return SVAMP."""
    return _load("svamp", options)


def asdiv(**options: Any) -> dict[str, "Dataset"]:
    """Return ASDiv's questions whose answer is one number."""
    return _load("asdiv", options)


def mawps(**options: Any) -> dict[str, "Dataset"]:
    """Return the three parts of MAWPS that have one step or two."""
    return _load("mawps", options)


def math500(**options: Any) -> dict[str, "Dataset"]:
    """Return MATH-500."""
    return _load("math500", options)


def aime24(**options: Any) -> dict[str, "Dataset"]:
    """Return both AIME tests of 2024."""
    return _load("aime24", options)


def aime25(**options: Any) -> dict[str, "Dataset"]:
    """Return both AIME tests of 2025."""
    return _load("aime25", options)


def arith(**options: Any) -> dict[str, "Dataset"]:
    """Return the arithmetic word problems that ship with the package."""
    return _test_split(read_questions(_SHIPPED / "arith_test.jsonl")) | _worked(hard=False)


def arith_hard(**options: Any) -> dict[str, "Dataset"]:
    """Return the harder arithmetic word problems that ship with the package."""
    return _test_split(read_questions(_SHIPPED / "arith_hard_test.jsonl")) | _worked(hard=True)


def _load(name: str, options: Mapping[str, Any]) -> dict[str, "Dataset"]:
    published = PUBLISHED[name]
    folder = options.get("data_dir")
    if folder is None or folder == "":
        folder = os.environ.get(DATA_VARIABLE)
    if folder is not None and not isinstance(folder, str | Path):
        raise TaskError(
            f"data_dir={folder!r} is no name of a folder: lm-eval has read it as a number or the "
            'like. Put it in quotes: --metadata \'{"data_dir": "007"}\'.'
        )
    if folder:
        # A folder that was named but lacks the file is an error, never a silent download.
        questions = _from_folder(published, Path(str(folder)).expanduser())
        if published.hub is None and len(questions) != published.size:
            raise TaskError(
                f"latent_tts_{name} is the set of {published.size} questions that "
                f"{published.reported} evaluate; {folder} holds {len(questions)}, whose numbers "
                "would be compared with theirs. Give the whole set; --limit runs a part of it."
            )
        return _test_split(questions)
    if published.hub is None:
        raise TaskError(
            f"{published.title} lies on no hub in this selection. Name a folder that holds "
            f"{_names(published)}, one "
            '{"id", "question", "answer"} object a line (or a JSON list of such objects): '
            f"--metadata data_dir=FOLDER, or {DATA_VARIABLE}=FOLDER in the environment."
        )
    return _test_split(_from_hub(published, published.hub))


def _from_folder(published: Published, folder: Path) -> list[Question]:
    questions = []
    for stem in published.files:
        names = (f"{stem}.jsonl", f"{stem}.json", published.also.get(stem, f"{stem}.jsonl"))
        found = next((name for name in names if os.path.isfile(folder / name)), names[0])
        part = read_questions(folder / found, judge=published.kind, golds=published.golds)
        if len(published.files) > 1:  # ids are unique within a file only
            part = [msgspec.structs.replace(one, id=f"{stem}-{one.id}") for one in part]
        questions += part
    return questions


def _names(published: Published) -> str:
    return ", ".join(f"{stem}.jsonl" for stem in published.files)


def _from_hub(published: Published, hub: Hub) -> list[Question]:
    import datasets  # takes a second to import, and only this path needs it

    try:
        rows = datasets.load_dataset(hub.path, hub.config, split=hub.split)
    # Any failure to download means the same to the user, and the errors share no base class.
    except Exception as error:
        raise TaskError(
            f"cannot load {hub.path} from the Hugging Face hub ({type(error).__name__}: "
            f"{error}). Without network, put {_names(published)} into a folder, one "
            '{"id", "question", "answer"} object a line, and name the folder: '
            f"--metadata data_dir=FOLDER, or {DATA_VARIABLE}=FOLDER in the environment."
        ) from error
    questions = []
    for index, row in enumerate(rows):
        where = f"{hub.path}, row {index}"
        try:
            text, answer = hub.read(row)
        except KeyError as error:
            raise TaskError(
                f"{where}: field {error} is missing, found {sorted(row)}; the data set on the hub "
                f"has changed. Use a local {_names(published)} instead ({DATA_VARIABLE})."
            ) from error
        fields = {"id": str(index), "question": text, "answer": str(answer)}
        questions.append(
            question_from(fields, where=where, judge=published.kind, golds=published.golds)
        )
    return questions


def _test_split(questions: list[Question]) -> dict[str, "Dataset"]:
    import datasets

    rows = [{"id": q.id, "question": q.text, "answer": q.gold} for q in questions]
    return {"test": datasets.Dataset.from_list(rows)}


def _worked(*, hard: bool) -> dict[str, "Dataset"]:
    """Return problems to show as examples: the first that models are trained on."""
    import datasets

    problems = generate(split="train", count=EXAMPLES, seed=0, hard=hard)
    solved = [(p.id, Solved(question=p.question, steps=p.steps, answer=p.answer)) for p in problems]
    rows = [
        {"id": name, "question": one.question, "answer": one.answer, "worked": one.worked}
        for name, one in solved
    ]
    return {"train": datasets.Dataset.from_list(rows)}

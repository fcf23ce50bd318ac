"""Running the stock lm-eval on tiny checkpoints, in this process."""

import json
from pathlib import Path
from typing import Any

from lm_eval import simple_evaluate
from lm_eval.api.instance import Instance
from lm_eval.tasks import TaskManager

from latent_tts import tasks
from latent_tts.harness.lm_eval_seam import KEEPS_REPEATS
from latent_tts.tasks import Pool

BENCHMARKS = Path(tasks.__file__).parent / "benchmarks"
FILES = {
    "latent_tts_gsm8k": "gsm8k_test.jsonl",
    "latent_tts_gsm_hard": "gsm_hard.jsonl",
    "latent_tts_multiarith": "multiarith.jsonl",
}


def question(number: int) -> str:
    """A short question; those of several numbers differ in length and text."""
    more = " How many pens are there?" * (number % 3)
    return f"Tom has {7 * number + 2} pens and buys {13 * number % 31}.{more}"


def write_questions(folder: Path, rows: list[dict[str, Any]]) -> Path:
    """Write a folder that holds the same questions for all three real tasks."""
    folder.mkdir(exist_ok=True)
    for name in FILES.values():
        (folder / name).write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return folder


def make_rows(count: int) -> list[dict[str, Any]]:
    """Questions in the format of local data files, all with one gold answer."""
    return [{"id": i, "question": question(i), "answer": "5"} for i in range(count)]


def make_request(
    text: str,
    settings: dict[str, Any],
    *,
    task: str | None = None,
    number: int | None = None,
    repeats: int = 1,
    doc: dict[str, Any] | None = None,
) -> Instance:
    """A request as a task of the installed lm-eval builds it."""
    named = {"task_name": task, "doc_id": number} if KEEPS_REPEATS else {}
    request = Instance("generate_until", doc or {}, (text, settings), idx=0, **named)
    request.task_name, request.doc_id, request.repeats = task, number, repeats
    return request


def evaluate(
    pretrained: Path | str,
    data: Path,
    *,
    names: tuple[str, ...] = ("latent_tts_gsm8k",),
    include: Path = BENCHMARKS,
    **options: Any,
) -> dict[str, Any]:
    """Run `simple_evaluate(model="latent_tts")` on tasks whose data lie in the folder `data`."""
    metadata = {"data_dir": str(data), **options.pop("metadata", {})}
    options["model_args"] = {"pretrained": str(pretrained), **options.get("model_args", {})}
    return simple_evaluate(
        model="latent_tts",
        tasks=list(names),
        task_manager=TaskManager(
            include_path=str(include), include_defaults=False, metadata=metadata
        ),
        **options,
    )


def timeless(folder: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    """What a run wrote, without times and machines: its results, and its sample logs by task."""
    (file,) = folder.rglob("results_*.json")
    results = json.loads(file.read_text())
    for name in ("date", "start_time", "end_time", "total_evaluation_time_seconds"):
        results.pop(name, None)
    results.pop("pretty_env_info", None)
    for task in results["config"]["latent_tts"]["tasks"].values():
        task.pop("throughput", None)
    results["config"]["latent_tts"].pop("command")
    logs = {path.name.rsplit("_", 1)[0]: path.read_bytes() for path in folder.rglob("samples_*")}
    return results, logs


def pools(results: dict[str, Any], task: str = "latent_tts_gsm8k") -> list[Pool]:
    """The logged pools of a task, in the order of its questions."""
    samples = sorted(results["samples"][task], key=lambda sample: sample["doc_id"])
    return [Pool.from_json(filtered(sample)) for sample in samples]


def filtered(sample: dict[str, Any]) -> str:
    """The response that a sample log's filter chain left; lm-eval 0.5 logs a list of one."""
    (response,) = sample["filtered_resps"]
    return response if isinstance(response, str) else response[0]

"""Store a run in a folder, small enough to commit, for `latent-tts check --baseline`.

    python tools/baseline.py RUN FOLDER

What tells of the machine is left out.
"""

import gzip
import json
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

import click

from latent_tts.results import ResultsError, Run
from latent_tts.results.runs import runs_by_task
from latent_tts.results.runs.lm_eval_files import open_log, writing

# Of lm-eval's results file. The rest describes the machine, or repeats the tasks' YAMLs.
_KEPT = (
    "results",
    "versions",
    "n-samples",
    "higher_is_better",
    "task_hashes",
    "date",
    "model_name_sanitized",
)
_KEPT_OF_CONFIG = ("model", "model_num_parameters", "model_dtype", "limit", "latent_tts")
_KEPT_OF_TASK = ("task", "num_fewshot", "repeats")
_KEPT_OF_METADATA = ("version", "ks", "tolerance")
# The hashes, which do not pack, are lm-eval's of what stays.
_DROPPED_OF_SAMPLE = ("arguments", "filtered_resps", "doc_hash", "prompt_hash", "target_hash")


def store(runs: Mapping[str, Run], folder: Path) -> list[Path]:
    """Write a run's results file and its packed sample logs.

    Everything that records are made of stays: numbers, settings, questions and pools.

    Args:
        runs: the run's tasks, all of one results file.
        folder: to write to; must hold no run.

    Returns:
        The files written.

    Raises:
        ResultsError: the folder is not empty, or the runs are of several results files.
    """
    sources = {run.results for run in runs.values()}
    if len(sources) > 1:
        listed = ", ".join(map(str, sorted(sources)))
        raise ResultsError(f"Store one results file at a time, not {listed}. Name one of these.")
    if folder.exists() and any(folder.iterdir()):
        raise ResultsError(f"{str(folder)!r} is not empty. Empty it first, or name another folder.")
    source = sources.pop()
    content = _slim(json.loads(source.read_text(encoding="utf-8")), runs)
    results = folder / source.name
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        results.write_text(f"{json.dumps(content, indent=1)}\n", encoding="utf-8")
        return [results, *(_pack(run.samples, folder) for run in runs.values())]


def _slim(content: Mapping[str, Any], runs: Mapping[str, Run]) -> dict[str, Any]:
    kept = {name: content[name] for name in _KEPT if name in content}
    for name in ("results", "versions", "n-samples", "higher_is_better", "task_hashes"):
        values = kept.get(name) or {}
        kept[name] = {task: values[task] for task in runs if task in values}
    kept["configs"] = {
        task: {
            **_some(content["configs"][task], _KEPT_OF_TASK),
            "metadata": _some(content["configs"][task].get("metadata") or {}, _KEPT_OF_METADATA),
        }
        for task in runs
    }
    kept["config"] = _some(content["config"], _KEPT_OF_CONFIG)
    made = {**kept["config"]["latent_tts"]}
    made.pop("command", None)  # it spells paths
    for part in ("checkpoint", "reward_model"):
        if made.get(part):
            name = str(made[part].get("name"))
            made[part] = {**made[part], "name": _without_path(name)}
            if made[part]["name"] != name:
                kept.pop("model_name_sanitized", None)  # it spells the path
    kept["config"]["latent_tts"] = made
    return kept


def _without_path(name: str) -> str:
    """Return the last name in the path of a folder; `owner/name` on the hub stays."""
    on_hub = name.count("/") == 1 and not name.startswith(("/", ".", "~"))
    return name if on_hub and not Path(name).exists() else PurePath(name).name or name


def _some(values: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: values[name] for name in names if name in values}


def _pack(log: Path, folder: Path) -> Path:
    packed = folder / f"{log.name.removesuffix('.gz')}.gz"
    # Neither time nor name in the archive: the same log packs to the same bytes.
    with (
        open_log(log) as lines,
        packed.open("wb") as file,
        gzip.GzipFile("", "wb", compresslevel=9, fileobj=file, mtime=0) as stream,
    ):
        for line in lines:
            sample = json.loads(line)
            slim = {key: value for key, value in sample.items() if key not in _DROPPED_OF_SAMPLE}
            stream.write(f"{json.dumps(slim)}\n".encode())
    return packed


@click.command()
@click.argument("run", type=click.Path(exists=True, path_type=Path))
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def main(run: Path, folder: Path) -> None:
    """Store RUN in FOLDER, small enough to commit, for `latent-tts check --baseline`.

    RUN is the --output_path folder of an lm_eval run with --log_samples, or its results file.
    """
    runs, problems = runs_by_task(run)
    for problem in problems:
        click.echo(problem, err=True)
    for file in store(runs, folder):
        click.echo(f"{file} ({file.stat().st_size / 1024:.0f} KiB)")


if __name__ == "__main__":
    main()

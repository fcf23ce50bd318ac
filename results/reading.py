"""From lm-eval's results file to records, one a task."""

from collections.abc import Mapping
from typing import Any

from .errors import ResultsError
from .files import ResultsFile, count_lines, log_beside, starts_with_pool
from .run import Estimate, Problem, Run, RunConfig

_STRENGTHS = {"dropout": "dropout_p", "noise": "noise_std"}


def read_results(file: ResultsFile) -> tuple[list[Run], list[Problem]]:
    """Return the records of a results file's tasks, and what of it cannot be used."""
    runs, problems = [], []
    made = file.content.get("config", {}).get("latent_tts")
    if not isinstance(made, Mapping):
        model = file.content.get("config", {}).get("model")
        return [], [Problem(file.path, f"made by --model {model}, not by latent_tts.")]
    for task in file.content.get("configs", {}):
        try:
            runs.append(_read_task(file, task, made))
        except ResultsError as error:
            problems.append(Problem(file.path, str(error)))
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            problems.append(
                Problem(
                    file.path, f"{task} lacks what lm-eval writes ({error!r}); run lm_eval again."
                )
            )
    return runs, problems


def _read_task(file: ResultsFile, task: str, made: Mapping[str, Any]) -> Run:
    config, numbers = file.content["configs"][task], file.content["results"][task]
    log = log_beside(file, task)
    if log is None:
        raise ResultsError(f"{task} has no sample log beside it. Run lm_eval with --log_samples.")
    if not starts_with_pool(log):
        raise ResultsError(f"{task} is no task of this project: {log.name} holds no pools.")
    metrics, filters = _read_metrics(numbers)
    version = file.content["versions"][task]
    questions = int(file.content["n-samples"][task]["effective"])
    lines, whole = count_lines(log)
    if lines != questions * filters or not whole:
        raise ResultsError(
            f"{log.name} was cut off or added to: {lines} lines{'' if whole else ', the last torn'}"
            f", expected {questions * filters}. Run again."
        )
    own = made.get("tasks", {}).get(task, {})
    timing = own.get("throughput") or {}
    metadata = config.get("metadata") or {}
    return Run(
        name=file.name,
        task=task,
        task_version=None if version is None else str(version),
        date=file.date,
        config=_read_config(file.content["config"], made, own, repeats=config.get("repeats") or 1),
        metrics=metrics,
        higher_is_better=dict(file.content.get("higher_is_better", {}).get(task, {})),
        questions=questions,
        questions_hash=(file.content.get("task_hashes") or {}).get(task),
        throughput=timing["samples"] / timing["seconds"] if timing.get("seconds") else None,
        tolerance=str(metadata.get("tolerance", 0)),
        results=file.path,
        samples=log,
    )


def _read_metrics(numbers: Mapping[str, Any]) -> tuple[dict[str, Estimate], int]:
    """Return the metrics of a task's first filter, and how many filters there are."""
    keys = [key.rpartition(",") for key in numbers if "," in key]
    filters = list(dict.fromkeys(name for _, _, name in keys))
    metrics = {}
    for metric, _, name in keys:
        if name != filters[0] or metric.endswith("_stderr") or metric == "bypass":
            continue
        error = numbers.get(f"{metric}_stderr,{name}")
        stderr = float(error) if isinstance(error, int | float) else None  # "N/A"
        metrics[metric] = Estimate(float(numbers[f"{metric},{name}"]), stderr)
    if not metrics:
        raise ResultsError("no metrics in it: --predict_only judges nothing. Run without it.")
    return metrics, len(filters)


def _read_config(
    whole: Mapping[str, Any], made: Mapping[str, Any], own: Mapping[str, Any], *, repeats: int
) -> RunConfig:
    settings = own.get("settings") or made.get("settings") or {}
    checkpoint = made.get("checkpoint") or {}
    reward = made.get("reward_model") or {}
    if "latent_do_sample" not in settings:  # candidates of another program
        sampler, strength = "unknown", None
    elif settings["latent_do_sample"]:
        sampler = str(settings.get("latent_do_sample_by"))
        strength = settings.get(_STRENGTHS.get(sampler, ""))
    elif settings.get("do_sample"):
        sampler, strength = "temperature", settings.get("temperature")
    else:
        sampler, strength = "none", 0.0
    count = settings.get("num_return_sequences")
    return RunConfig(
        backbone=made.get("backbone"),
        checkpoint=str(checkpoint.get("name")),
        weights_sha256=checkpoint.get("weights_sha256"),
        revision=checkpoint.get("commit") or checkpoint.get("revision"),
        parameters=whole.get("model_num_parameters"),
        sampler=sampler,
        strength=strength,
        samples=None if count is None else count * repeats,
        aggregation=made.get("aggregation"),
        seed=settings.get("seed"),
        reward_model=reward.get("name"),
        reward_sha256=reward.get("weights_sha256"),
        prompt_format=made.get("prompt_format"),
        device=made.get("device"),
        dtype=whole.get("model_dtype"),
        settings=settings,
        versions=made.get("versions") or {},
    )

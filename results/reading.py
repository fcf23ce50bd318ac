"""From lm-eval's results file to records, one a task."""

from collections.abc import Mapping
from typing import Any

from ..tasks import TaskError, read_tolerance
from .errors import ResultsError
from .files import ResultsFile, count_lines, log_beside, starts_with_pool
from .run import Estimate, Problem, Run, RunConfig

_STRENGTHS = {"dropout": "dropout_p", "noise": "noise_std"}


def read_results(file: ResultsFile) -> tuple[list[Run], list[Problem]]:
    """Return the records of a results file's tasks, and what of it cannot be used."""
    runs, problems = [], []
    config, tasks = file.content.get("config"), file.content.get("configs")
    if not isinstance(config, Mapping) or not isinstance(tasks, Mapping):
        name = "configs" if isinstance(config, Mapping) else "config"
        message = f"its {name!r} is no JSON object, as lm-eval writes it; run lm_eval again."
        return [], [Problem(file.path, message, lost=True)]
    made = config.get("latent_tts")
    if not isinstance(made, Mapping):
        model = config.get("model")
        return [], [Problem(file.path, f"made by --model {model}, not by latent_tts.")]
    for task in tasks:
        try:
            runs.append(_read_task(file, task, made))
        except _NotOursError as error:
            problems.append(Problem(file.path, str(error)))
        except ResultsError as error:
            problems.append(Problem(file.path, str(error), lost=True))
        except (KeyError, TypeError, AttributeError, ValueError, OSError) as error:
            message = f"{task} lacks what lm-eval writes ({error!r}); run lm_eval again."
            problems.append(Problem(file.path, message, lost=True))
    return runs, problems


class _NotOursError(ResultsError):
    """A task whose answers are no pools: not read, and not missed."""


def _read_task(file: ResultsFile, task: str, made: Mapping[str, Any]) -> Run:
    config, numbers = file.content["configs"][task], file.content["results"][task]
    log = log_beside(file, task)
    if log is None:
        raise ResultsError(f"{task} has no sample log beside it. Run lm_eval with --log_samples.")
    lines, whole = count_lines(log)
    if lines and whole and not starts_with_pool(log):
        raise _NotOursError(f"{task} is no task of this project: {log.name} holds no pools.")
    metrics, filters = _read_metrics(numbers)
    version = file.content["versions"][task]
    questions = int(file.content["n-samples"][task]["effective"])
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
        config=_read_config(
            file.content["config"], made, own, repeats=_whole(config, "repeats") or 1
        ),
        metrics=metrics,
        higher_is_better=dict(file.content.get("higher_is_better", {}).get(task, {})),
        questions=questions,
        questions_hash=_text(file.content.get("task_hashes") or {}, task),
        throughput=timing["samples"] / timing["seconds"] if timing.get("seconds") else None,
        tolerance=_tolerance(metadata),
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
        strength = _number(settings, _STRENGTHS.get(sampler, ""))
    elif settings.get("do_sample"):
        sampler, strength = "temperature", _number(settings, "temperature")
    else:
        sampler, strength = "none", 0.0
    count = _whole(settings, "num_return_sequences")
    return RunConfig(
        backbone=_text(made, "backbone"),
        checkpoint=str(checkpoint.get("name")),
        weights_sha256=_text(checkpoint, "weights_sha256"),
        revision=_text(checkpoint, "commit") or _text(checkpoint, "revision"),
        parameters=_whole(whole, "model_num_parameters"),
        sampler=sampler,
        strength=strength,
        samples=None if count is None else count * repeats,
        aggregation=_text(made, "aggregation"),
        seed=_whole(settings, "seed", least=None),
        reward_model=_text(reward, "name"),
        reward_sha256=_text(reward, "weights_sha256"),
        prompt_format=_text(made, "prompt_format"),
        device=_text(made, "device"),
        dtype=_text(whole, "model_dtype"),
        settings=dict(settings),
        versions={name: str(version) for name, version in (made.get("versions") or {}).items()},
    )


def _text(values: Mapping[str, Any], name: str) -> str | None:
    value = values.get(name)
    if value is not None and not isinstance(value, str):
        raise _wrong(name, value, "a text")
    return value


def _whole(values: Mapping[str, Any], name: str, *, least: int | None = 1) -> int | None:
    value = values.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise _wrong(name, value, "a whole number")
    if least is not None and value < least:
        raise _wrong(name, value, f"at least {least}")
    return value


def _number(values: Mapping[str, Any], name: str) -> float | None:
    value = values.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong(name, value, "a number")
    return float(value)


def _tolerance(metadata: Mapping[str, Any]) -> str:
    value = metadata.get("tolerance", 0)
    try:
        read_tolerance(value)
    except TaskError as error:
        raise ResultsError(f"{error} Run lm_eval again.") from error
    return str(value)


def _wrong(name: str, value: object, wanted: str) -> ResultsError:
    return ResultsError(f"{name!r} is {value!r}, but must be {wanted}. Run lm_eval again.")

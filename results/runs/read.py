"""From lm-eval's results file to records, one a task."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import msgspec

from ...tasks import TaskError, find_judge, read_tolerance
from ..errors import ResultsError
from .command import rebuilt_command, shell_line
from .lm_eval_fields import Config, Made, Model, Sampled
from .lm_eval_files import Found, log_beside
from .record import Estimate, Problem, Run, RunConfig
from .settings import Known, sampler_of
from .survey import survey
from .texts import config_of_texts, is_ours


def read_runs(file: Found) -> tuple[list[Run], list[Problem]]:
    """Return the records of a results file's tasks, and what of it cannot be used."""
    runs, problems = [], []
    for task in file.content.configs:
        try:
            runs.append(_read_task(file, task))
        except _NotOursError as error:
            problems.append(Problem(file.path, str(error)))
        except ResultsError as error:
            problems.append(Problem(file.path, str(error), lost=True))
        except KeyError as error:
            message = f"{task} lacks what lm-eval writes ({error!r}); run lm_eval again."
            problems.append(Problem(file.path, message, lost=True))
        except (TaskError, ValueError, OSError) as error:
            message = f"{task} cannot be read: {error}. Run lm_eval again."
            problems.append(Problem(file.path, message, lost=True))
    return runs, problems


class _NotOursError(ResultsError):
    """A task whose answers are no pools: not read, and not missed."""


def _read_task(file: Found, task: str) -> Run:
    content, config = file.content, file.content.configs[task]
    made = content.config.latent_tts
    metrics, filters = _read_metrics(content.results[task])
    if made is None and not is_ours(metrics):
        raise _NotOursError(
            f"{task} of --model {content.config.model} is no task of this project: its metrics "
            "are not those of pools."
        )
    version, asked = content.versions[task], content.asked[task]
    log = _find_log(file.path, task, lines=asked.effective * filters, pools=made is not None)
    own = made.tasks.get(task, Sampled()) if made else Sampled()
    timing = own.throughput
    tolerance = (config.metadata or {}).get("tolerance", 0)
    read_tolerance(tolerance)
    judge = find_judge((config.metadata or {}).get("judge", "number"))
    better = content.higher_is_better.get(task, {})
    made_by = (
        _read_config(content.config, made, own, config.repeats or 1)
        if made
        else config_of_texts(content, config, metrics)
    )
    return Run(
        name=file.name,
        task=task,
        task_version=None if version is None else str(version),
        date=file.date,
        config=replace(made_by, rebuilt_command=rebuilt_command(content.config, task)),
        metrics=metrics,
        higher_is_better={name: more for name, more in better.items() if more is not None},
        questions=asked.effective,
        task_questions=asked.original,
        questions_hash=(content.task_hashes or {}).get(task),
        throughput=timing.samples / timing.seconds if timing and timing.seconds else None,
        tolerance=str(tolerance),
        results=file.path,
        samples=log,
        plain_text=made is None,
        judge=judge.name,
    )


def _find_log(results: Path, task: str, *, lines: int, pools: bool) -> Path:
    """Return a task's sample log, which has so many lines, and pools in them if asked for."""
    log = log_beside(results, task)
    if log is None:
        raise ResultsError(f"{task} has no sample log beside it. Run lm_eval with --log_samples.")
    seen = survey(log)
    if pools and seen.lines and seen.ended and not seen.pools:
        raise _NotOursError(f"{task} is no task of this project: {log.name} holds no pools.")
    if seen.lines != lines or not seen.ended:
        torn = "" if seen.ended else ", the last torn"
        raise ResultsError(
            f"{log.name} was cut off or added to: {seen.lines} lines{torn}, expected {lines}. "
            "Run again."
        )
    return log


def _read_metrics(numbers: Mapping[str, object]) -> tuple[dict[str, Estimate], int]:
    """Return the metrics of a task's first filter, and how many filters there are."""
    keys = [key.rpartition(",") for key in numbers if "," in key]
    filters = list(dict.fromkeys(name for _, _, name in keys))
    metrics = {}
    for metric, _, name in keys:
        if name != filters[0] or metric.endswith("_stderr") or metric == "bypass":
            continue
        error = numbers.get(f"{metric}_stderr,{name}")
        stderr = float(error) if isinstance(error, int | float) else None  # "N/A"
        value = msgspec.convert(numbers[f"{metric},{name}"], float)
        metrics[metric] = Estimate(value, stderr)
    if not metrics:
        raise ResultsError("no metrics in it: --predict_only judges nothing. Run without it.")
    return metrics, len(filters)


def _read_config(config: Config, made: Made, own: Sampled, repeats: int) -> RunConfig:
    settings = own.settings or made.settings or {}
    checkpoint, reward = made.checkpoint or Model(), made.reward_model or Model()
    known = msgspec.convert(settings, Known)
    sampler, strength = sampler_of(settings)
    count = known.num_return_sequences
    return RunConfig(
        backbone=made.backbone,
        checkpoint="+".join([str(checkpoint.name), *filter(None, [checkpoint.adapter])]),
        weights_sha256=checkpoint.weights_sha256,
        parts=checkpoint.parts,
        named=checkpoint.name,
        revision=checkpoint.commit or checkpoint.revision,
        parameters=config.model_num_parameters,
        sampler=sampler,
        strength=strength,
        samples=None if count is None else count * repeats,
        repeats=repeats,
        seed=known.seed,
        reward_model=reward.name,
        reward_sha256=reward.weights_sha256,
        device=made.device,
        dtype=config.model_dtype,
        prompt_format=made.prompt_format,
        command=shell_line(made.command) if made.command else None,
        settings=dict(settings),
        model_args=_told(config.model_args),
        versions={name: str(version) for name, version in (made.versions or {}).items()},
    )


def _told(model_args: object) -> dict[str, object] | None:
    """Return what lm-eval recorded of --model_args by name; Python code may give a text."""
    if isinstance(model_args, str):
        parts = (part.partition("=") for part in model_args.split(","))
        return {name: value for name, equals, value in parts if equals}
    if isinstance(model_args, dict):
        return {str(name): value for name, value in model_args.items()}
    return None

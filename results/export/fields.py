"""The fields of every_eval_ever's records that a run alone says."""

import json
import math
from collections.abc import Mapping

from ...tasks import LOWER_IS_BETTER
from ...tasks.published import PUBLISHED, Published
from ..runs import Run

_SHARES = {"min_score": 0.0, "max_score": 1.0, "score_type": "continuous"}


def _describe(metric: str, *, lower_is_better: bool) -> dict[str, object]:
    """Return a metric's `metric_config`: all are shares of questions or candidates."""
    family, _, k = metric.partition("@")
    fields: dict[str, object] = {
        "metric_id": "pass_at_k" if family == "pass" else f"latent_tts.{family}",
        "metric_name": metric,
        "metric_unit": "proportion",
        "lower_is_better": lower_is_better,
        **_SHARES,
    }
    return fields | ({"metric_parameters": {"k": int(k)}} if k.isdecimal() else {})


def result(run: Run, metric: str) -> dict[str, object]:
    """Return a metric as one of `evaluation_results`."""
    value, stderr = run.metrics[metric]
    uncertainty: dict[str, object] = {"num_samples": run.questions}
    if stderr is not None and math.isfinite(stderr):
        uncertainty["standard_error"] = {"value": stderr, "method": "analytic"}
    return {
        "evaluation_result_id": metric,
        "evaluation_name": run.task,
        "source_data": _source(run),
        "metric_config": _describe(metric, lower_is_better=metric in LOWER_IS_BETTER),
        "score_details": {"score": value, "uncertainty": uncertainty},
        "generation_config": _generation(run),
    }


def published_set(run: Run) -> Published | None:
    """Return the published set that a run asked, None for others and for a part of one."""
    _, _, name = run.task.partition("latent_tts_")
    found = PUBLISHED.get(name)
    return found if found is not None and run.questions == found.size else None


def _source(run: Run) -> dict[str, object]:
    published = published_set(run)
    if published is None or published.hub is None:
        return {
            "dataset_name": run.task,
            "source_type": "other",
            "additional_details": {"questions": str(run.questions)},
        }
    return {
        "dataset_name": published.title,
        "source_type": "hf_dataset",
        "hf_repo": published.hub.path,
        "hf_split": published.hub.split,
        "samples_number": run.questions,
    }


def _generation(run: Run) -> dict[str, object]:
    config = run.config
    arguments: dict[str, object] = {}
    tokens = config.settings.get("max_new_tokens")
    if isinstance(tokens, int) and tokens >= 1:
        arguments["max_tokens"] = tokens
    if command := config.command or config.rebuilt_command:
        arguments["execution_command"] = command
    if config.prompt_format:
        arguments["prompt_template"] = config.prompt_format
    own = {"sampler": config.sampler, "strength": config.strength, "candidates": config.samples}
    details = texts({**config.settings, **own, "reward_model": config.reward_model})
    return {"generation_args": arguments, "additional_details": details}


def model_info(run: Run, model: str) -> dict[str, object]:
    """Return what is known of the model `org/name`."""
    config = run.config
    developer, _, name = model.partition("/")
    details = {
        "deployment_type": "unknown" if config.backbone is None else "self_deployed",
        "model_availability": "unknown",
        "backbone": config.backbone,
        "checkpoint": config.checkpoint,
        "revision": config.revision,
        "weights_sha256": config.weights_sha256,
        **config.parts,
        "parameters": config.parameters,
        "dtype": config.dtype,
    }
    return {
        "name": name,
        "id": model,
        "developer": developer,
        "additional_details": texts(details),
    }


def texts(values: Mapping[str, object]) -> dict[str, str]:
    """Return what is known, as texts: the schema has no other values in free fields."""
    return {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in values.items()
        if value is not None
    }

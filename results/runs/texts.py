"""Runs of lm-eval's other models, whose responses are plain text, on this project's tasks."""

from collections.abc import Iterable, Mapping

import msgspec

from .lm_eval_fields import ResultsFile, TaskConfig
from .metrics import largest_k
from .record import RunConfig

_SAYS_NOTHING = frozenset({"return_pool", "min_candidates", "do_sample", "temperature"})


class _Known(msgspec.Struct):
    """The generation settings that a record is made of."""

    do_sample: bool | None = None
    temperature: float | None = None


def is_ours(metrics: Iterable[str]) -> bool:
    """Tell whether metrics are those of a task that judges pools."""
    names = set(metrics)
    return "unparsed" in names and any(name.startswith("coverage@") for name in names)


def config_of_texts(content: ResultsFile, task: TaskConfig, metrics: Iterable[str]) -> RunConfig:
    """Return what made a task's texts, from what lm-eval itself records.

    Every repeat is a candidate. Settings follow lm-eval's rule: what is not said to be sampled is
    sampled if a temperature above 0 is given.

    Args:
        content: of the results file.
        task: its settings of the task.
        metrics: of the task, which say how many candidates there were.

    Raises:
        msgspec.ValidationError: a setting is of another type; the message names it.
    """
    config, repeats, samples = content.config, task.repeats or 1, largest_k(metrics)
    generation = task.generation_kwargs or {}
    known = msgspec.convert(generation, _Known)
    sampled = known.do_sample or (known.do_sample is None and bool(known.temperature))
    arguments = _arguments(config.model_args)
    checkpoint = arguments.pop("pretrained", None) or arguments.pop("model", None)
    settings = {k: v for k, v in generation.items() if k not in _SAYS_NOTHING}
    settings |= {"do_sample": sampled, "num_return_sequences": samples, "seed": config.torch_seed}
    settings |= {"temperature": known.temperature} if sampled else {}
    settings |= {
        "num_fewshot": task.num_fewshot or None,
        "chat_template_sha": content.chat_template_sha,
        "system_instruction_sha": content.system_instruction_sha,
    }
    return RunConfig(
        backbone=str(config.model),
        checkpoint=str(checkpoint or content.model_name or config.model),
        revision=_text(config.model_sha or config.model_revision),
        parameters=config.model_num_parameters,
        sampler="temperature" if sampled else "none",
        strength=known.temperature if sampled else 0.0,
        samples=samples,
        repeats=repeats,
        seed=config.torch_seed,
        device=_text(config.device),
        dtype=config.model_dtype,
        settings=settings | {f"model_args.{name}": value for name, value in arguments.items()},
    )


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _arguments(given: object) -> dict[str, object]:
    """Return --model_args, which lm-eval records as a table or as it was written."""
    if isinstance(given, Mapping):
        return {str(name): value for name, value in given.items()}
    pairs = (part.partition("=") for part in str(given or "").split(",") if part)
    return {name: value for name, _, value in pairs}

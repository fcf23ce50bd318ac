"""The command that made a run: as it was typed, or rebuilt from what lm-eval records of it."""

import re
import shlex
from collections.abc import Mapping, Sequence

from .lm_eval_fields import Config

_SECRET = re.compile(
    r"""((?:\b|_)(?:token|password|secret|api_?key)["']?\s*[=:]\s*["']?)[^\s,"'}]+""", re.IGNORECASE
)
_HUB_TOKEN = re.compile(r"\bhf_[A-Za-z0-9]{16,}")


def without_secrets(arguments: Sequence[str]) -> list[str]:
    """Return a command with `…` for every token and password in it."""
    return [_HUB_TOKEN.sub("…", _SECRET.sub(r"\1…", argument)) for argument in arguments]


def shell_line(arguments: Sequence[str]) -> str:
    """Return a command as a shell takes it, without secrets."""
    return shlex.join(without_secrets(arguments))


def rebuilt_command(config: Config, task: str) -> str | None:
    """Return a command that gives one task the settings which lm-eval's results file records.

    Returns:
        The command; None where the file does not hold model_args, as committed baselines do not.
    """
    if config.model_args is None:
        return None
    flags = {"model": config.model, "model_args": config.model_args, "tasks": task}
    flags |= {"gen_kwargs": config.gen_kwargs, "limit": config.limit}
    given = [(name, _typed(value)) for name, value in flags.items() if value not in (None, "", {})]
    return shell_line(["lm_eval", *(part for name, text in given for part in (f"--{name}", text))])


def _typed(value: object) -> str:
    if isinstance(value, Mapping):
        return ",".join(f"{name}={part}" for name, part in value.items())
    return f"{value:g}" if isinstance(value, float) else str(value)

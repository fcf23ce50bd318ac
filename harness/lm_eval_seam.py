"""All that is used of lm-eval beyond its public interface, and what differs between its versions.

The rest of this room uses lm-eval's public names alone: `LM`, `Instance`, `CacheHook`, `Filter`,
`TaskManager`, `mean`, `simple_parse_args_string`, and the methods of a task that subclasses
override. The back-port, which may import nothing, has its own
list: `WATCHED` in `backport/_latent_tts_backport.py`.

What differs between 0.4.13 and 0.5.0.dev1 (neither discovers plugins by itself):

- The class of generate_until tasks is `ConfigurableTask`; from 0.5 on it is `GenerateTask`.
- `construct_requests` returns one request; from 0.5 on a list of requests.
- `process_results` is given one entry, a text or, under `repeats`, a list; from 0.5 on all texts.
- Without a filter list all responses but the first are thrown away; from 0.5 on none is.
- From 0.5 on `--repeats` changes a task that is already built, a task in a group is called
  `group::task`, and `filtered_resps` in the sample log holds a list even without `repeats`.
- 0.5.0.dev1 itself fails under `--predict_only` (its `bypass` metric is a number where it wants a
  list) unless a task gives the metric, as ours does.
"""

import argparse
import inspect
import logging
import sys
import traceback
from argparse import Namespace
from collections.abc import Callable, Iterable, MutableMapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import lm_eval.api.task
from lm_eval.api.instance import Instance
from lm_eval.api.model import CacheHook, hash_args

from ..errors import LatentTTSError

# Below lm-eval's own, so that its command shows what is said, in its format and at its level.
logger = logging.getLogger("lm_eval.latent_tts")

# Of flags whose defaults are others in `latent-tts eval`.
_OWN_HELP = {
    "model": "Model name (default: latent_tts)",
    "tasks": "Task names, separated by spaces or commas (default: latent_tts_arith)",
    "batch_size": "Questions in the batch, or 'auto' for as many as fit (default: auto)",
    "device": "Device to use, such as cuda:1 (default: cuda where there is one, else cpu)",
    "model_args": "Checkpoint and settings, listed below, as key=val,key2=val2",
    "gen_kwargs": "Settings of samples, listed below; they win over --model_args",
    "use_cache": "File by which an interrupted run goes on",
    "include_path": "Folder of tasks of your own; this project's are always found",
}

# Where lm-eval says, of results that cannot be written, no more than "Could not save …".
SAVING = logging.getLogger("lm_eval.loggers.evaluation_tracker")

# The end-to-end tests pass on these; pyproject.toml allows what lies between them and 0.6.
TESTED = ("0.4.13", "0.5.0.dev1")
INSTALLED = version("lm-eval")

# Whether a task keeps every response to a repeated request by itself: from 0.5 on.
KEEPS_REPEATS = hasattr(lm_eval.api.task, "GenerateTask")
GenerateTask: Any = (
    lm_eval.api.task.GenerateTask if KEEPS_REPEATS else lm_eval.api.task.ConfigurableTask
)

# Keys of a task's configuration that are no settings of it: its class, and the name that 0.5 gives
# it in a group (`group::task`). Without that it is called in results as it always was.
NOT_FIELDS = frozenset({"class", "_qualified_name"})


def keep_repeats(count: int) -> list[dict[str, Any]]:
    """Return a task's filter_list that keeps `count` responses to each request.

    Several processes pad the last question with further copies, so the first are its own.
    """
    return [{"name": "none", "filter": [{"function": "take_first_k", "k": count}]}]


def list_requests(built: Instance | list[Instance]) -> list[Instance]:
    """Return the requests that `construct_requests` built, however many."""
    return built if isinstance(built, list) else [built]


def list_responses(results: Sequence[Any]) -> list[Any]:
    """Return the responses to one question that `process_results` is given."""
    if len(results) == 1 and isinstance(results[0], list | tuple):
        return list(results[0])
    return list(results)


def cached_responses(hook: CacheHook) -> MutableMapping[str, Any] | None:
    """Return what --use_cache stores, by key; None without a cache."""
    store: MutableMapping[str, Any] | None = hook.dbdict
    return store


def cache_key(arguments: Iterable[Any]) -> str:
    """Return the key under which lm-eval itself stores a response to these arguments."""
    return hash_args("generate_until", arguments)


def take_responses(store: MutableMapping[str, Any], prefix: str, *, keep: bool) -> None:
    """Put what lm-eval itself stored under keys that begin with `prefix`, or drop it.

    lm-eval answers from its own keys before a model sees the request; under others it asks.
    """
    sql = 'UPDATE OR REPLACE "unnamed" SET key = ?1 || key' if keep else 'DELETE FROM "unnamed"'
    database: Any = store
    database.conn.execute(f"{sql} WHERE key NOT LIKE ?1 || '%'", (prefix,))
    database.commit()


def running_flags() -> dict[str, Any] | None:
    """Return what the user wrote on lm-eval's command line, over what --config says.

    Returns:
        Flag -> value, of `model_args` the texts before lm-eval makes numbers of them; None where
        the program is not lm-eval's command.
    """
    if not runs_lm_eval():
        return None
    from lm_eval._cli import HarnessCLI

    run = HarnessCLI()._subparsers.choices["run"]
    parser = argparse.ArgumentParser(parents=[run], add_help=False, conflict_handler="resolve")
    parser.add_argument("--model_args", "-a", nargs="+", action="extend")
    given = vars(parser.parse_args(sys.argv[2:] if sys.argv[1:2] == ["run"] else sys.argv[1:]))
    given = {name: value for name, value in given.items() if value is not None}
    return (read_config(given["config"]) if "config" in given else {}) | given


def evaluate_arguments() -> dict[str, Any]:
    """Return the arguments of lm-eval's `evaluate` that this call comes from; {} from elsewhere.

    That requests come from its cache, or bear an instruction, it tells neither model nor request.
    """
    if (module := sys.modules.get("lm_eval.evaluator")) is None:
        return {}
    function = inspect.unwrap(module.evaluate)
    names = inspect.signature(function).parameters
    frame = inspect.currentframe()
    while frame is not None and frame.f_code is not function.__code__:
        frame = frame.f_back
    return {} if frame is None else {k: v for k, v in frame.f_locals.items() if k in names}


def runs_lm_eval() -> bool:
    """Tell whether this program is lm-eval's command, or ours around it."""
    names = ("lm_eval", "lm-eval", "latent-tts", "latent-tts eval")
    return runs_plainly() or Path(sys.argv[0]).stem in names


def runs_plainly() -> bool:
    """Tell whether this program is lm-eval's command itself, with nothing of ours around it."""
    main = sys.modules.get("__main__")
    script = Path(getattr(main, "__file__", None) or "").stem
    return getattr(main, "__package__", None) == "lm_eval" or script in ("lm_eval", "lm-eval")


def run_command(
    arguments: Sequence[str], fill: Callable[[Namespace], Namespace], *, settings: str
) -> None:
    """Do what `lm_eval` does.

    Args:
        arguments: its command line, without the program's name.
        fill: changes the parsed flags before they are carried out.
        settings: what --help says of the model behind the flags.

    Raises:
        UsageError: what lm-eval itself refuses, such as a task that it does not know.
    """
    from lm_eval._cli import HarnessCLI
    from lm_eval.utils import setup_logging

    setup_logging()
    command = HarnessCLI()
    run = command._subparsers.choices["run"]
    run.usage, run.epilog = "latent-tts eval [options]", settings
    for action in run._actions:
        action.help = _OWN_HELP.get(action.dest, action.help)
    before = sys.argv
    sys.argv = ["latent-tts eval", *arguments]  # lm-eval reads nothing else
    try:
        command.execute(fill(command.parse_args()))
    except (ValueError, TypeError, KeyError, OSError) as error:
        frames = traceback.extract_tb(error.__traceback__)
        if Path(lm_eval.__path__[0]) not in Path(frames[-1].filename).parents:
            raise
        raise UsageError(str(error)) from error
    finally:
        sys.argv = before  # models of this program that come later are not of this command


class UsageError(LatentTTSError):
    """What lm-eval refuses of its command line, or of a task."""


def read_config(path: str) -> dict[str, Any]:
    """Return the flags that a file given by --config holds."""
    from lm_eval.config.evaluate_config import EvaluatorConfig

    flags: dict[str, Any] = EvaluatorConfig.load_yaml_config(path)
    return flags

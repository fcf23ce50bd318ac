"""All that is used of lm-eval beyond its public interface, and what differs between its versions.

The rest of this room uses lm-eval's public names alone: `LM`, `Instance`, `Filter`, `mean`, and the
methods of a task that subclasses override. The back-port, which may import nothing, has its own
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

import sys
from argparse import Namespace
from collections.abc import Callable, MutableMapping, Sequence
from importlib.metadata import version
from typing import Any

import lm_eval.api.task
from lm_eval.api.instance import Instance
from lm_eval.api.model import CacheHook

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


def run_command(arguments: Sequence[str], fill: Callable[[Namespace], Namespace]) -> None:
    """Do what `lm_eval` does.

    Args:
        arguments: its command line, without the program's name.
        fill: changes the parsed flags before they are carried out.
    """
    from lm_eval._cli import HarnessCLI
    from lm_eval.utils import setup_logging

    setup_logging()
    sys.argv = ["latent-tts eval", *arguments]  # lm-eval reads nothing else
    parser = HarnessCLI()
    parser.execute(fill(parser.parse_args()))


def read_config(path: str) -> dict[str, Any]:
    """Return the flags that a file given by --config holds."""
    from lm_eval.config.evaluate_config import EvaluatorConfig

    flags: dict[str, Any] = EvaluatorConfig.load_yaml_config(path)
    return flags

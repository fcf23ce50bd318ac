"""What lm-eval's command line says that a model is not told, or told wrongly."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..files import free_bytes
from ..models import ModelError
from ..results import ResultsError
from .arguments import NAMES, ModelArguments
from .lm_eval_seam import running_flags, runs_plainly
from .saving import SavedResults, results_folder
from .writable import check_writable


def heed_flags(arguments: Mapping[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """Return model arguments as the user meant them, where lm-eval's command is the program.

    Args:
        arguments: --model_args as lm-eval read them.
        defaults: its flags that are model arguments too; what the user did not write is taken out.

    Raises:
        ModelError, ResultsError: as `check_flags`.
    """
    flags, given = running_flags(), dict(arguments)
    if flags is not None:
        check_flags(flags)
        texts = flags.get("model_args") or ()
        given |= as_typed(given, [texts] if isinstance(texts, str) else texts)
        if "device" not in flags:
            defaults.pop("device", None)  # lm-eval's own, cuda:0
    given.setdefault("pretrained", ModelArguments.pretrained)
    return given


def watch_results() -> None:
    """Let lm-eval's own command end with an error where it could not save its results."""
    path = (running_flags() or {}).get("output_path")
    if runs_plainly() and path is not None:
        SavedResults(path).finish_at_exit()


def check_log_room(bytes_needed: int) -> None:
    """Refuse a run whose sample log will not fit on the disk, before anything is sampled.

    Args:
        bytes_needed: at most.

    Raises:
        ResultsError: fewer are free.
    """
    flags = running_flags() or {}
    path = flags.get("output_path")
    if path is None or not flags.get("log_samples"):
        return
    free = free_bytes(results_folder(path))
    if free < bytes_needed:
        raise ResultsError(
            f"--output_path {path}: the sample log needs up to {bytes_needed / 1e6:.0f} MB, and "
            f"{free / 1e6:.0f} MB are free. Nothing was computed yet. Free space, name another "
            "place, or leave out --log_samples."
        )


def check_flags(flags: Mapping[str, Any]) -> None:
    """Refuse, before a weight is loaded, what would end in wrong numbers or in none.

    Args:
        flags: what the user gave, see `running_flags`.

    Raises:
        ModelError: a flag that has no meaning for a latent reasoner.
        ResultsError: results or the cache cannot be written.
    """
    limit = flags.get("limit")
    if limit is not None and not float(limit) > 0:
        raise ModelError(
            f"--limit {limit}: allowed are whole numbers of at least 1 (questions of each task) "
            "and shares between 0 and 1."
        )
    kept = flags.get("cache_requests") or {}
    if isinstance(kept, str):  # in a --config file
        kept = {"cache_requests": kept == "true"}
    check_prompts({**flags, "cache_requests": False, **kept})
    if path := flags.get("output_path"):
        check_writable(results_folder(path), asked=f"--output_path {path}")
    if path := flags.get("use_cache"):
        check_writable(Path(f"{path}_rank0.db").parent, asked=f"--use_cache {path}")


def check_prompts(given: Mapping[str, Any], *, dashes: str = "--") -> None:
    """Refuse what makes other prompts, or prompts of other runs, unnoticed.

    Args:
        given: `system_instruction`, `cache_requests` and `rewrite_requests_cache`, as lm-eval's
            `evaluate` takes them.
        dashes: before their names in messages.

    Raises:
        ModelError: a flag that has no meaning for a latent reasoner.
    """
    instruction = given.get("system_instruction")
    if instruction:
        raise ModelError(
            f"{dashes}system_instruction {instruction!r} cannot be used: a latent reasoner reads "
            "the question in a prompt format of its own, which has no place for an instruction. "
            "Leave it out."
        )
    if given.get("cache_requests") and not given.get("rewrite_requests_cache"):
        raise ModelError(
            f"{dashes}cache_requests cannot be used: lm-eval keeps requests with the generation "
            "settings and the data of the run that made them, and gives them to runs with others. "
            "Leave it out: building requests takes a moment. To keep responses, give "
            f"{dashes}use_cache FILE."
        )


def typed_names(texts: Iterable[str]) -> dict[str, str]:
    """Return names of checkpoints and revisions among `key=value,key=value` as they were typed.

    lm-eval reads what looks like a number as one: `007` as 7, `1e3` as 1000.0, and the commit
    `12e4567` as infinity.
    """
    pairs = (part.partition("=") for text in texts for part in text.split(","))
    return {
        name.strip(): value.strip().strip("'\"")
        for name, equals, value in pairs
        if equals and name.strip() in NAMES and value.strip().lower() != "none"
    }


def as_typed(given: Mapping[str, Any], texts: Iterable[str]) -> dict[str, str]:
    """Return the names among model arguments that lm-eval took for numbers, as they were typed."""
    typed = typed_names(texts)
    return {k: typed[k] for k in given.keys() & typed.keys() if not isinstance(given[k], str)}


def default_store() -> str | None:
    """Return the folder in which samples are kept where the user names none.

    It lies beside the results of lm-eval's --output_path; None where there is none.
    """
    path = (running_flags() or {}).get("output_path")
    return None if path is None else str(results_folder(path) / "store")

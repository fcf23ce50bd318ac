"""Loading weights: all that the model needs, and all that the files hold."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import PreTrainedModel

from ..errors import LatentTTSError
from .errors import ModelError
from .formats.checkpoint import check_kinds, check_numbers
from .formats.gate import gate_error, gates_among
from .formats.hub import folder_of
from .formats.side import stated
from .formats.source import Source, unwrapped_weights
from .formats.tensors import listed
from .formats.wrapped import unwrapped

_OF_SHAPE = " of shape "
_WEIGHTS = (".safetensors", ".bin", ".pt", ".pth")
# Files beside a model that are read, that hold its own weights once more, or what training needs.
_READ = (
    *("model*.safetensors", "pytorch_model*.bin", "consolidated*", "training_args.bin"),
    *("optimizer.*", "scheduler.*", "scaler.*", "rng_state*"),
)


def load_weights(
    kind: type[PreTrainedModel],
    name: str,
    *,
    what: str,
    advice: str,
    error: type[LatentTTSError],
    revision: str = "main",
    ignore_weights: str | Sequence[str] = (),
    new: Sequence[str] = (),
    state_dict: Mapping[str, torch.Tensor] | None = None,
    **kwargs: Any,
) -> PreTrainedModel:
    """Load a model, and refuse weights that would be left random or that nobody reads.

    Args:
        kind: the model's class.
        name: a folder or a hub id.
        what: it is, in messages, such as "checkpoint".
        advice: what may be wrong with one that does not fit, a sentence for messages.
        error: raised for what cannot be used.
        revision: of a hub repository.
        ignore_weights: names of weights that may be left unread, with `*` for any characters;
            several in a list, or joined by `+`.
        new: modules that training adds, whose weights are random where the files lack them.
        state_dict: the weights, where they are not read from `name`.
        **kwargs: for transformers' `from_pretrained`.

    Raises:
        LatentTTSError: of the given kind: files that cannot be read, weights that are missing or of
            another shape, and unread ones that `ignore_weights` does not name.
    """
    patterns = read_patterns(ignore_weights, error)
    stored = None if state_dict is not None else name
    beside = [] if stored is None else list(_unread_files(Path(name)))
    try:
        state_dict = unwrapped_weights(name) if state_dict is None else state_dict
        path = name if state_dict is None else None
        model, info = _read(kind, path, state_dict=state_dict, revision=revision, **kwargs)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as reason:
        where = f"{what} {name!r} (revision {revision!r})"
        raise error(f"The weights of the {where} cannot be loaded: {reason}") from reason
    others = [*sorted(info["unexpected_keys"]), *beside]
    unread = _unread(others, patterns)
    if gates := _gates(Path(name), unread):
        raise gate_error(name, gates, stated(Path(name)))
    if misfit := _misfit(_lacking(info, new), others, unread, advice):
        raise error(f"The {what} {name!r} {misfit}")
    try:
        _check_numbers(model, name, folder_of(name, revision) if stored else None)
    except ModelError as reason:
        raise error(str(reason)) from reason
    model.name_or_path = name
    return model


def _misfit(
    lacking: Sequence[str], others: Sequence[str], unread: Sequence[str], advice: str
) -> str | None:
    """Return in words how a checkpoint does not fit its model, None where it does.

    Args:
        lacking: weights that the model needs and the checkpoint lacks, or has in another shape.
        others: weights that it holds and nobody reads.
        unread: those of them that may not be left unread.
        advice: what may be wrong.
    """
    if lacking:
        if all(_OF_SHAPE in each for each in lacking):  # they are there
            cause = advice
        elif not others:
            cause = f"{advice} Or it was not saved completely."
        else:
            cause = (
                f"It holds others that nobody reads: {listed(others)}. They may be the same under "
                f"other names, which must then be those of the released format. Or else: {advice}"
            )
        return f"lacks weights that its config.json calls for: {listed(lacking)}. {cause}"
    if unread:
        return (
            f"holds weights that nobody reads: {listed(unread)}. Its numbers would be those of "
            f"another model. {advice} Where they have no part in sampling, give "
            f"ignore_weights={unread[0].rpartition('.')[0]}.*"
        )
    return None


def _check_numbers(model: PreTrainedModel, name: str, folder: Path | None) -> None:
    """Raise ModelError where weights are no finite numbers, or were none with a fraction in files.

    Args:
        model: that was loaded.
        name: of it.
        folder: of its files, where it was read from files; transformers makes floats of integers.
    """
    weights = dict(model.named_parameters())
    check_numbers(weights, name)
    if folder is not None and folder.is_dir():
        kinds = unwrapped(Source(name, folder).kinds)
        check_kinds({each: kind for each, kind in kinds.items() if each in weights}, name)


def _read(kind: Any, path: str | None, **kwargs: Any) -> tuple[PreTrainedModel, dict[str, Any]]:
    """Return a model as transformers loads it, and what was and was not read."""
    reports = logging.getLogger("transformers.modeling_utils")
    reports.addFilter(_is_no_report)
    try:
        # What does not fit is refused by the caller, with a shorter message.
        own = {"ignore_mismatched_sizes": True, "output_loading_info": True}
        model, info = kind.from_pretrained(path, **own, **kwargs)
    finally:
        reports.removeFilter(_is_no_report)
    return model, info


def _unread(names: Iterable[str], patterns: Sequence[str]) -> list[str]:
    """Return the names that no pattern allows to be left unread."""
    return [name for name in names if not any(fnmatchcase(name, one) for one in patterns)]


def _gates(folder: Path, unread: Sequence[str]) -> list[str]:
    """Return what is of a stop gate among weights and files that nobody reads, and in these."""
    found = gates_among(unread)
    for name in unread:
        file = folder / name
        if name not in found and file.suffix in _WEIGHTS and file.is_file():
            inside = gates_among(Source(name, file).names)
            found += [name, *inside] if inside else []
    return found


def _lacking(info: Mapping[str, Any], new: Sequence[str]) -> list[str]:
    """Return the weights that a model needs and files lack, but those of `new` modules."""
    added = tuple(f"{module}." for module in new)
    lacking = sorted(key for key in info["missing_keys"] if not key.startswith(added))
    shapes = (f"{key}{_OF_SHAPE}{tuple(wanted)}" for key, _, wanted in info["mismatched_keys"])
    return lacking + sorted(shapes)


def _unread_files(folder: Path) -> Iterator[str]:
    """Yield the files of weights, such as a stop gate's, that transformers does not read.

    Among them is an adapter of which nothing says what it adapts.
    """
    adapts = (folder / "adapter_config.json").is_file()
    read = (*_READ, "adapter_model.*") if adapts else _READ
    for file in sorted(folder.glob("*")):
        weights = file.suffix in _WEIGHTS and file.is_file()
        if weights and not any(fnmatchcase(file.name, pattern) for pattern in read):
            yield file.name


def read_patterns(given: str | Iterable[str], error: type[LatentTTSError]) -> list[str]:
    """Return the patterns in `ignore_weights`; `error` where it is something else."""
    patterns = given.split("+") if isinstance(given, str) else given
    if not isinstance(patterns, list | tuple) or not all(
        isinstance(one, str) and one.strip() for one in patterns
    ):
        raise error(
            f"ignore_weights={given!r}; allowed are names of weights, with * for any characters, "
            "joined by + or in a list: ignore_weights=stop_gate.*+probe.weight."
        )
    return [one.strip() for one in patterns]


def _is_no_report(record: logging.LogRecord) -> bool:
    """Tell whether a message is other than transformers' table of what was and was not read."""
    return "LOAD REPORT" not in record.getMessage()

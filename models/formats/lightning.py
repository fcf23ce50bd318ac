"""The settings that a Lightning file holds: pickled objects of omegaconf, read without it."""

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from ..errors import ModelError
from .pickles import Placeholder

_REFERENCE = re.compile(r"\$\{([\w.]+)\}")


def read_settings(content: Mapping[str, Any], path: Path) -> Mapping[str, Any]:
    """Return what a Lightning file says of its training, else what its run's hparams.yaml says.

    Args:
        content: of the file.
        path: of the file; its run folder is its own or the one above.
    """
    found = plain(content.get("hyper_parameters", {}))
    if isinstance(found, Mapping) and found:
        return found
    for folder in (path.parent, path.parent.parent):
        try:
            read = yaml.safe_load((folder / "hparams.yaml").read_text(encoding="utf-8"))
        except (OSError, yaml.YAMLError, ValueError):
            continue
        if isinstance(read, Mapping) and read:
            return read
    return {}


def plain(thing: Any) -> Any:
    """Return mappings, sequences and scalars of what an omegaconf object was made of.

    Such an object keeps its value in `_content` (a container) or `_val` (a scalar).
    """
    if isinstance(thing, Placeholder):
        state = vars(thing)
        if "_content" in state or "_val" in state:
            return plain(state.get("_content", state.get("_val")))
        return None
    if isinstance(thing, Mapping):
        return {str(plain(key)): plain(value) for key, value in thing.items()}
    if isinstance(thing, list | tuple):
        return [plain(each) for each in thing]
    return thing


def find_setting(settings: Mapping[str, Any], name: str, source: str) -> Any:
    """Return the first value of that name at any depth, or None.

    A reference of omegaconf to another setting (`${lora.alpha}`) is followed.

    Args:
        settings: nested mappings.
        name: of the setting.
        source: the checkpoint, for messages.

    Raises:
        ModelError: a reference to what the file does not say, or says twice and not alike.
    """
    value = next((at[name] for at in _mappings(settings) if at.get(name) is not None), None)
    seen: list[str] = []
    while isinstance(value, str) and "$" in value:
        reference = _REFERENCE.fullmatch(value.strip())
        found = [] if reference is None else _followed(settings, reference[1].split("."))
        if len(found) != 1 or value in seen:
            raise ModelError(
                f"{source!r} says {name}={(seen or [value])[0]!r} in its settings, which refers to "
                f"something that cannot be told from them. Give {name}= itself."
            )
        seen.append(value)
        value = found[0]
    return value


def find_number(settings: Mapping[str, Any], name: str, source: str) -> float | None:
    """Return a setting that is a finite number above 0, or None where there is none of that name.

    Raises:
        ModelError: it is something else.
    """
    value = find_setting(settings, name, source)
    if value is None:
        return None
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not 0 < number < math.inf:
        raise ModelError(
            f"{source!r} says {name}={value!r} in its settings, which must be a finite number "
            f"above 0. Give {name}= itself."
        )
    return number


def _mappings(thing: Any) -> Iterator[Mapping[str, Any]]:
    """Yield nested mappings, the outer before the inner."""
    if isinstance(thing, Mapping):
        yield thing
        for each in thing.values():
            yield from _mappings(each)


def _followed(settings: Mapping[str, Any], path: list[str]) -> list[Any]:
    """Return the values that a dotted path has from any mapping on, each value once."""
    found: list[Any] = []
    for at in _mappings(settings):
        value: Any = at
        for part in path:
            value = value.get(part) if isinstance(value, Mapping) else None
        if value is not None and value not in found:
            found.append(value)
    return found

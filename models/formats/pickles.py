"""What `torch.save` wrote, read without executing anything that a file names."""

import pickle
import pickletools
import warnings
import zipfile
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import IO, Any, ClassVar

import torch
from torch.serialization import safe_globals

from ..errors import ModelError
from .tensors import listed

STATE, _MODULE = "state_dict", "module"
"""Where a file that holds more than weights has those: Lightning's, and DeepSpeed's."""

_LEGACY = 4  # pickles at the head of a file of torch before 1.6: magic, version, system, content
_WHOLE = "persistent_load of storage"  # torch before 1.6 kept a module's source beside it
_PICKLE, _ZIP, _GGUF = b"\x80", b"PK", b"GGUF"


class Placeholder:
    """Stands for an object of a class that a pickle names and that is not imported.

    Attributes:
        named: the class or function, as the pickle has it.
        args: what it would have been called with.
    """

    named: ClassVar[str] = ""

    def __new__(cls, *args: Any) -> "Placeholder":
        """Keep what the class would have been made of."""
        made = super().__new__(cls)
        made.args = args
        return made

    def __init__(self, *args: Any) -> None:
        self.args = args

    def __setstate__(self, state: Any) -> None:
        """Keep what the object would have been given; of other classes it may be anything."""
        parts = state if isinstance(state, tuple) else (state,)  # of dict and slots
        for part in parts:
            if isinstance(part, Mapping):
                vars(self).update({str(name): value for name, value in part.items()})


def kind_of(thing: Any) -> str:
    """Return in words what something in a file is, for messages."""
    if not isinstance(thing, Placeholder):
        return f"a {type(thing).__name__}"
    if thing.named.startswith("numpy."):
        return "a numpy array or number"
    return f"an object of {thing.named}"


def read_pickle(path: Path) -> Any:
    """Return what a file holds, by torch's reader that calls nothing a file names.

    What it names beyond tensors and containers (the settings of a Lightning file are omegaconf
    objects) becomes a `Placeholder`.

    Raises:
        ModelError: it is no such file, is damaged, or needs more than that.
    """
    _check_kind(path)
    try:
        return _load(path)
    except pickle.UnpicklingError:
        pass
    except Exception as error:  # a damaged file may raise anything
        raise _unreadable(path, error) from error
    try:
        with safe_globals([(_placeholder(name), name) for name in _names(path)]):
            return _load(path)
    except Exception as error:  # a hostile file may raise anything; nothing of it has been called
        reason = str(error).partition("WeightsUnpickler error:")[2].strip() or str(error)
        what = "a whole module with its class" if _WHOLE in reason else "more than tensors"
        raise ModelError(
            f"{path} holds {what}, and is not read: torch's reader, which executes nothing that a "
            f"file names, stops with {reason.splitlines()[0] if reason else repr(error)!r}. Save "
            "the model's state_dict() alone, best as safetensors."
        ) from error


def state_of(content: Mapping[str, Any], path: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of a file, which holds them itself or as its `state_dict`.

    Raises:
        ModelError: it holds something else, or nothing.
    """
    place = next((one for one in (STATE, _MODULE) if one in content), None)
    inner = content if place is None else content[place]
    where = f"{path}" if place is None else f"{path}, under {place!r},"
    if not isinstance(inner, Mapping) or not inner:
        what = kind_of(inner) if not isinstance(inner, Mapping) else "nothing at all"
        raise ModelError(f"{where} holds {what}; a checkpoint holds tensors by name.")
    strange = {name: kind_of(x) for name, x in inner.items() if not isinstance(x, torch.Tensor)}
    if strange:
        named = listed([f"{name} ({kind})" for name, kind in strange.items()])
        raise ModelError(
            f"{where} holds what is no tensor among its weights: {named}. Save the model's "
            "state_dict() alone."
        )
    return {str(name): each for name, each in inner.items()}


def _check_kind(path: Path) -> None:
    """Raise ModelError for a file that torch.save has not written, and say what it is."""
    try:
        with path.open("rb") as stream:
            head = stream.read(32)
    except OSError as error:
        raise _unreadable(path, error) from error
    if head.startswith(_PICKLE) or (head.startswith(_ZIP) and _data_file(path)):
        return
    if not head:
        what = "it is empty"
    elif head.startswith(_GGUF):
        what = "it is GGUF, llama.cpp's format; give what the training program saved"
    elif head.startswith(_ZIP):
        what = "it is a zip archive of something else"
    elif path.suffix in (".json", ".yaml", ".md", ".txt") or head.isascii():
        what = f"it is a text that begins with {head.decode('ascii', 'replace').strip()[:20]!r}"
        if path.name in ("config.json", "adapter_config.json"):
            what += f". Give its folder: {path.parent}"
    else:
        what = f"it begins with the bytes {head[:8].hex(' ')}"
    raise ModelError(
        f"{path} is no file of weights: neither safetensors nor what torch.save writes; {what}."
    )


def _unreadable(path: Path, error: Exception) -> ModelError:
    reason = str(error).strip().partition("\n")[0] or "it ends too early"
    return ModelError(
        f"{path} is no file of weights that torch can read, or is damaged "
        f"({type(error).__name__}: {reason}). Give what the training program saved, whole."
    )


def _data_file(path: Path) -> str | None:
    """Return the name of the pickle in an archive of torch; None where it is none of torch's."""
    try:
        with zipfile.ZipFile(path) as archive:
            return next((name for name in archive.namelist() if name.endswith("/data.pkl")), None)
    except zipfile.BadZipFile:
        return None


def _names(path: Path) -> set[str]:
    """Return the classes and functions that a file names, found by reading alone."""
    inside = _data_file(path)
    if inside is not None:
        with zipfile.ZipFile(path) as archive, archive.open(inside) as stream:
            return set(_globals(stream, 1))
    with path.open("rb") as stream:
        return set(_globals(stream, _LEGACY))


def _globals(stream: IO[bytes], pickles: int) -> Iterable[str]:
    for _ in range(pickles):
        for opcode, arg, _ in pickletools.genops(stream):
            if opcode.name == "GLOBAL":
                module, _, name = str(arg).partition(" ")
                # Files of protocol 2 have the names of Python 2, and torch's reader those of 3.
                known = NAME_MAPPING.get((module, name), (IMPORT_MAPPING.get(module, module), name))
                yield ".".join(known)


@cache
def _placeholder(name: str) -> type[Placeholder]:
    """Return the class that stands for a name; one each, so that messages can tell them apart."""
    return type("Placeholder", (Placeholder,), {"named": name})


def _load(path: Path) -> Any:
    with warnings.catch_warnings():  # of pickles of another protocol, which are read as well
        warnings.simplefilter("ignore", UserWarning)
        mapped = zipfile.is_zipfile(path)  # what is not used is not read
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)

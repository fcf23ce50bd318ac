"""Weights as training programs leave them: one file, shards, pickles that are never executed."""

import json
import pickle
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import torch
from huggingface_hub import try_to_load_from_cache
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch.serialization import get_unsafe_globals_in_checkpoint, safe_globals

from ..errors import ModelError

T = TypeVar("T")

# Put before every key by torch's DistributedDataParallel and by torch.compile.
_WRAPPERS = ("module.", "_orig_mod.")
# What transformers itself reads in a folder, in its order, whatever else lies there.
_OWN = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
_PATTERNS = ("*.safetensors", "pytorch_model*.bin", "*.ckpt", "checkpoint_*")


class Placeholder:
    """Stands for an object of a class that a pickle names and that is not imported."""

    def __init__(self, *args: Any) -> None:
        """Keep what the class would have been made of."""
        self.args = args


def folder_of(name: str, revision: str = "main") -> Path:
    """Return the folder of a model that was loaded: its own, or where the hub's files lie here."""
    if Path(name).exists() or name.count("/") != 1:
        return Path(name)
    found = try_to_load_from_cache(name, "config.json", revision=revision)
    return Path(found).parent if isinstance(found, str) else Path(name)


def commit_of(folder: Path) -> str | None:
    """Return the commit of a hub repository's folder, None where it is another's."""
    return folder.name if folder.parent.name == "snapshots" else None


@dataclass(frozen=True)
class Source:
    """A file, or a folder of files, that holds weights in a layout of some training program.

    Attributes:
        name: as the user gave it.
        root: the file or folder.
    """

    name: str
    root: Path

    @property
    def commit(self) -> str | None:
        """The commit of a hub repository, None where the files came from elsewhere."""
        return commit_of(self.root)

    @cached_property
    def weight_files(self) -> tuple[Path, ...]:
        """The files of the weights: several only where they are shards of one checkpoint.

        Raises:
            ModelError: several checkpoints of which one must be chosen, or a missing shard.
        """
        if self.root.is_file():
            return (self.root,)
        for file in (self.root / name for name in _OWN):
            if file.is_file():
                return self._shards(file) if file.suffix == ".json" else (file,)
        for pattern in _PATTERNS:
            found = sorted(path for path in self.root.glob(pattern) if path.is_file())
            found = [path for path in found if path.name != "adapter_model.safetensors"]
            if len(found) > 1:
                names = ", ".join(path.name for path in found[:6])
                raise ModelError(
                    f"{self.name!r} holds {len(found)} checkpoints: {names}. Say which, as "
                    f"pretrained={found[-1]}."
                )
            if found:
                return tuple(found)
        return ()

    def _shards(self, index: Path) -> tuple[Path, ...]:
        try:
            names = sorted(set(json.loads(index.read_text())["weight_map"].values()))
            shards = tuple(self.root / Path(name).name for name in names)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ModelError(f"{index} is no index of shards: {error!r}.") from error
        missing = [path.name for path in shards if not path.is_file()]
        if missing:
            raise ModelError(
                f"{self.name!r} lacks {', '.join(missing)}, which its {index.name} names: the "
                "download is incomplete."
            )
        return shards

    @property
    def names(self) -> frozenset[str]:
        """The weights' names without what wrappers prefix."""
        return frozenset(_unwrapped(dict.fromkeys(self.stored_names)))

    @cached_property
    def stored_names(self) -> frozenset[str]:
        """The weights' names as they are stored; of safetensors only the headers are read."""
        files = self.weight_files
        if not all(path.suffix == ".safetensors" for path in files):
            return frozenset(map(str, self.content.get("state_dict", self.content)))
        names: set[str] = set()
        for path in files:
            try:
                with safe_open(path, "pt") as opened:
                    names |= set(opened.keys())
            except (SafetensorError, OSError) as error:
                raise ModelError(f"{path} cannot be read as safetensors: {error}") from error
        return frozenset(names)

    @cached_property
    def content(self) -> Mapping[str, Any]:
        """What the files hold: tensors by name, or an outer mapping with a `state_dict`.

        Raises:
            ModelError: a file that cannot be read, or that holds something else.
        """
        found: dict[str, Any] = {}
        for path in self.weight_files:
            is_safe = path.suffix == ".safetensors"
            read = _read_safetensors(path) if is_safe else _read_pickle(path)
            if not isinstance(read, Mapping):
                raise ModelError(
                    f"{path} holds a {type(read).__name__}; a checkpoint holds tensors by name."
                )
            found |= read
        return found

    @cached_property
    def tensors(self) -> dict[str, torch.Tensor]:
        """The weights by name, without what DistributedDataParallel and torch.compile prefix."""
        inner = self.content.get("state_dict", self.content)
        return _unwrapped(
            {
                str(name): each
                for name, each in (inner.items() if isinstance(inner, Mapping) else ())
                if isinstance(each, torch.Tensor)
            }
        )

    @cached_property
    def settings(self) -> Mapping[str, Any]:
        """What a Lightning file says of its training, without the classes that said it."""
        found = plain(self.content.get("hyper_parameters", {}))
        return found if isinstance(found, Mapping) else {}


def _unwrapped(named: dict[str, T]) -> dict[str, T]:
    for wrapper in _WRAPPERS * 2:  # both may stand, in either order
        if named and all(name.startswith(wrapper) for name in named):
            named = {name.removeprefix(wrapper): each for name, each in named.items()}
    return named


def unwrapped_weights(name: str) -> dict[str, torch.Tensor] | None:
    """Return the weights of a folder whose every key a wrapper of torch has prefixed, else None."""
    source = Source(name, Path(name))
    if not source.root.is_dir() or source.stored_names == source.names:
        return None
    return source.tensors


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
        return {plain(key): plain(value) for key, value in thing.items()}
    if isinstance(thing, list | tuple):
        return [plain(each) for each in thing]
    return thing


def find_setting(settings: Any, name: str) -> Any:
    """Return the first value of that name at any depth of nested mappings, or None."""
    if isinstance(settings, Mapping):
        if settings.get(name) is not None:
            return settings[name]
        found = (find_setting(each, name) for each in settings.values())
        return next((each for each in found if each is not None), None)
    return None


def _read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path} cannot be read as safetensors: {error}") from error


def _read_pickle(path: Path) -> Any:
    """Read what `torch.save` wrote, by torch's reader that calls nothing a file names.

    What the file names beyond tensors and containers (the settings of a Lightning file are
    omegaconf objects) becomes a `Placeholder`.
    """
    try:
        return _load(path)
    except pickle.UnpicklingError:
        pass
    except (OSError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise ModelError(
            f"{path} is no file of weights that torch can read ({type(error).__name__}: "
            f"{error or 'it is empty'}). Give what the training program saved."
        ) from error
    try:
        names = get_unsafe_globals_in_checkpoint(path)
        with safe_globals([(Placeholder, name) for name in names]):
            return _load(path)
    except Exception as error:  # a hostile file may raise anything; nothing of it has been called
        reason = str(error).partition("WeightsUnpickler error:")[2].strip() or str(error)
        raise ModelError(
            f"{path} holds more than tensors and settings, and is not read, because reading it "
            f"would execute what it names: {reason.splitlines()[0] if reason else error!r}. Save "
            "its state dict alone, best as safetensors."
        ) from error


def _load(path: Path) -> Any:
    with warnings.catch_warnings():  # of pickles of another protocol, which are read as well
        warnings.simplefilter("ignore", UserWarning)
        mapped = zipfile.is_zipfile(path)  # what is not used is not read
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)

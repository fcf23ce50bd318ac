"""A file or folder that a training program left: which of its files hold weights, and those."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from ..errors import ModelError
from .hub import commit_of
from .lightning import read_settings
from .pickles import STATE, kind_of, read_pickle, state_of
from .tensors import is_safetensors, kind_of_numbers, read_safetensors, safetensors_kinds
from .wrapped import unwrapped

# What transformers itself reads in a folder, in its order, whatever else lies there.
_OWN = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
# Where Lightning puts its files in a run's folder, last.
_PATTERNS = (
    *("*.safetensors", "pytorch_model*.bin", "*.ckpt", "checkpoint_*"),
    "checkpoints/*.ckpt",
    # DeepSpeed's, beside which lie those of its optimizer.
    *("mp_rank_*_model_states.pt", "global_step*/mp_rank_*_model_states.pt"),
)
_ADAPTER = "adapter_model.safetensors"  # of which nothing says what it adapts


@dataclass(frozen=True)
class Source:
    """A file, or a folder of files, that holds weights in a layout of some training program.

    Attributes:
        name: as the user gave it.
        root: the file or folder.
        ignored: patterns of names of weights that are left unread.
    """

    name: str
    root: Path
    ignored: Sequence[str] = ()

    @property
    def folder(self) -> Path:
        """The folder, or that of the file."""
        return self.root if self.root.is_dir() else self.root.parent

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
            found = [one for one in found if one.name != _ADAPTER and not self.leaves(one.name)]
            if len(found) > 1:
                raise self._which(found)
            if found:
                return tuple(found)
        return ()

    def leaves(self, name: str) -> bool:
        """Return whether a weight, or a file of weights, may be left unread."""
        return any(fnmatchcase(name, pattern) for pattern in self.ignored)

    def _which(self, found: Sequence[Path]) -> ModelError:
        names = ", ".join(path.name for path in found[:6])
        last = next((path for path in found if path.name == "last.ckpt"), found[-1])
        return ModelError(
            f"{self.name!r} holds {len(found)} checkpoints: {names}. Say which, as "
            f"pretrained={last}."
        )

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

    @cached_property
    def kinds(self) -> dict[str, str]:
        """Of what numbers the weights are, by their stored names: `F32`, `int8` and the like.

        Of safetensors only the headers are read.

        Raises:
            ModelError: a file that cannot be read, or that holds something else.
        """
        found: dict[str, str] = {}
        for path in self.weight_files:
            if is_safetensors(path):
                found |= safetensors_kinds(path)
            else:
                found |= {name: kind_of_numbers(each) for name, each in self._states[path].items()}
        return found

    @property
    def stored_names(self) -> frozenset[str]:
        """The weights' names as they are stored."""
        return frozenset(self.kinds)

    @cached_property
    def names(self) -> frozenset[str]:
        """The weights' names without what wrappers add, and without those to be left unread."""
        return frozenset(self._kept(unwrapped(dict.fromkeys(self.stored_names))))

    @cached_property
    def tensors(self) -> dict[str, torch.Tensor]:
        """The weights by these names: copies, as a training may write its file anew meanwhile."""
        found: dict[str, torch.Tensor] = {}
        for path in self.weight_files:
            found |= read_safetensors(path) if is_safetensors(path) else self._states[path]
        return {name: each.clone() for name, each in self._kept(unwrapped(found)).items()}

    @property
    def left_out(self) -> tuple[str, ...]:
        """What the files hold and nobody reads, in words."""
        count = len(unwrapped(dict.fromkeys(self.stored_names))) - len(self.names)
        ignored = [f"{'+'.join(self.ignored)} ({count} tensors, by ignore_weights)"]
        others = sorted(
            f"{name} (of the training, no weights)"
            for content in self._contents.values()
            for name in (content if STATE in content else ())
            if name not in (STATE, "hyper_parameters")
        )
        return (*(ignored if count else ()), *others)

    @property
    def settings(self) -> Mapping[str, Any]:
        """What a Lightning file, or the hparams.yaml of its run, says of its training."""
        for path, content in self._contents.items():
            return read_settings(content, path)
        return {}

    def _kept(self, named: dict[str, Any]) -> dict[str, Any]:
        return {name: each for name, each in named.items() if not self.leaves(name)}

    @cached_property
    def _contents(self) -> dict[Path, Mapping[str, Any]]:
        """What the pickled files hold."""
        found = {}
        for path in self.weight_files:
            if is_safetensors(path):
                continue
            content = read_pickle(path)
            if not isinstance(content, Mapping):
                raise ModelError(
                    f"{path} holds {kind_of(content)}; a checkpoint holds tensors by name. Save "
                    "the model's state_dict()."
                )
            found[path] = content
        return found

    @cached_property
    def _states(self) -> dict[Path, dict[str, torch.Tensor]]:
        return {path: state_of(content, path) for path, content in self._contents.items()}


def unwrapped_weights(name: str) -> dict[str, torch.Tensor] | None:
    """Return the weights of a folder whose names bear what wrappers of torch add, else None."""
    source = Source(name, Path(name))
    if not source.root.is_dir() or source.stored_names == source.names:
        return None
    return source.tensors

"""A folder of a peft adapter, and a checkpoint with it: rows for its tokens, and merged."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
import torch

from .adapted import grow_vocabulary
from .added_rows import AddedRows
from .errors import ModelError
from .formats import Source
from .formats.checkpoint import check_numbers
from .formats.hub import commit_of, fetch, tokens_of
from .merge import merge_adapters
from .origin import Origin
from .side_files import load_tokenizer

_CONFIG = "adapter_config.json"
_SHOWN = 3


class AdapterConfig(msgspec.Struct):
    """What adapter_config.json says, as far as it is asked."""

    peft_type: str
    base_model_name_or_path: str | None = None
    r: int | None = None
    trainable_token_indices: list[int] | dict[str, list[int]] | None = None


def is_adapter(folder: Path) -> bool:
    """Return whether a folder holds an adapter and not the config of what it adapts."""
    return (folder / _CONFIG).is_file() and not (folder / "config.json").is_file()


@dataclass(frozen=True)
class Adapter:
    """A peft adapter on disk.

    Attributes:
        name: as the user gave it.
        folder: where it lies.
    """

    name: str
    folder: Path

    @classmethod
    def find(cls, name: str, revision: str = "main") -> "Adapter":
        """Return the adapter of a name.

        Args:
            name: a folder or a hub id.
            revision: of a hub repository.

        Raises:
            ModelError: there is none.
        """
        folder = fetch(name, revision)
        if folder is None or not (folder / _CONFIG).is_file():
            what = "is a file" if folder and folder.is_file() else f"has no {_CONFIG}"
            raise ModelError(
                f"adapter={name!r} cannot be read: it {what if folder else 'is not there'}. Give "
                "the folder or hub id of a peft adapter, as peft's save_pretrained wrote it."
            )
        return cls(name, folder)

    @cached_property
    def config(self) -> AdapterConfig:
        """What its config says.

        Raises:
            ModelError: it is no JSON object, or its fields are of other kinds.
        """
        try:
            return msgspec.json.decode((self.folder / _CONFIG).read_bytes(), type=AdapterConfig)
        except (msgspec.DecodeError, OSError) as error:
            raise ModelError(
                f"The adapter_config.json of {self.name!r} cannot be read ({error}): it must be "
                "what peft's save_pretrained wrote, with peft_type, r and target_modules."
            ) from error

    @cached_property
    def files(self) -> tuple[Path, ...]:
        """The files of its weights; ModelError where there is none."""
        found = tuple(sorted(self.folder.glob("adapter_model.*")))
        if not found:
            raise ModelError(
                f"{self.name!r} has adapter_config.json and no adapter_model.safetensors (or "
                ".bin): the adapter's weights are missing. Copy the whole folder."
            )
        return found

    @cached_property
    def tensors(self) -> dict[str, torch.Tensor]:
        """Its weights by name; ModelError where they cannot be read or are no finite numbers."""
        found = Source(self.name, self.files[-1]).tensors  # safetensors, where both are there
        check_numbers(found, self.name)
        return found

    def base(self, given: str | None) -> str:
        """Return the name of what it adapts: as given, else as its config says.

        Raises:
            ModelError: neither says one.
        """
        base = given or self.config.base_model_name_or_path
        if not base:
            raise ModelError(
                f"{self.name!r} is an adapter whose adapter_config.json names no base. Give base=, "
                "a folder or hub id of the model that was trained."
            )
        return base

    def merge_into(self, model: Any) -> Any:
        """Return a checkpoint's model with the adapter added to its weights.

        Tokens that the adapter's training added get their rows, and the tokenizer that lies beside
        the adapter is the model's.

        Args:
            model: with tokenizer and origin, in the precision in which to add.

        Raises:
            ModelError: it does not fit.
        """
        base = model.name_or_path
        trained = self.config.trainable_token_indices or []
        added = AddedRows.find(model, self.tensors, trained)
        tokenizer = self._tokenizer(model, added)
        grow_vocabulary(model, added.size)
        merged = merge_adapters(model, str(self.folder), base, stored=self.tensors.keys())
        check_numbers(dict(merged.named_parameters()), f"{base} with adapter={self.name}")
        merged.tokenizer, merged.origin = tokenizer, _with(model.origin, self)
        if silent := added.without_head:
            known = getattr(merged.generation_config, "suppress_tokens", None) or ()
            merged.generation_config.suppress_tokens = sorted({*known, *silent})
        return merged

    def _tokenizer(self, model: Any, added: AddedRows) -> Any:
        """Return the tokenizer that lies beside the adapter, else the checkpoint's own.

        Raises:
            ModelError: its tokens are others than the checkpoint's, or have no rows.
        """
        own = [file for file in tokens_of(self.folder) if file.name != "config.json"]
        if not own:
            return model.tokenizer
        tokenizer = load_tokenizer(str(self.folder))
        vocabulary = tokenizer.get_vocab() if tokenizer is not None else {}
        before = {} if model.tokenizer is None else model.tokenizer.get_vocab()
        other = [token for token, index in before.items() if vocabulary.get(token) != index]
        if other:
            raise ModelError(
                f"The tokenizer beside adapter={self.name!r} gives {other[0]!r} the id "
                f"{vocabulary.get(other[0])}, that of {model.name_or_path!r} {before[other[0]]}: "
                "the adapter is of another checkpoint."
            )
        without = sorted(
            (index, token)
            for token, index in vocabulary.items()
            if index >= added.size or index in added.without_embedding
        )
        if without:
            listed = ", ".join(repr(token) for _, token in without[:_SHOWN])
            raise ModelError(
                f"The tokenizer beside adapter={self.name!r} has tokens, such as {listed}, whose "
                f"embeddings are neither there nor in {model.name_or_path!r}, which has "
                f"{added.known} rows. Save the adapter with save_embedding_layers=True, or train "
                "them by modules_to_save or trainable_token_indices."
            )
        return tokenizer


def _with(origin: Origin, adapter: Adapter) -> Origin:
    """Return a checkpoint's origin with an adapter."""
    commit, rank = commit_of(adapter.folder), adapter.config.r
    commits = {} if commit is None else {"adapter": commit}
    ranked = "" if rank is None else f" of rank {rank}"
    return replace(
        origin,
        files={**origin.files, "adapter": adapter.files},
        names={**origin.names, "adapter": adapter.name},
        commits={**origin.commits, **commits},
        found=(
            *origin.found,
            f"peft adapter {adapter.name} of type {adapter.config.peft_type}{ranked}, merged",
        ),
    )

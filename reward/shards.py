"""Labelled questions on disk: shards of safetensors beside an index that says what made them.

A shard holds a fixed range of the question set, so that it is the same whoever writes it and
whenever. It appears under its name only when it is whole, hence a folder may be read while it is
being written, and a run that was killed goes on with the shards that are not there.
"""

import json
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from ..models.identity import tensors_digest
from .errors import CorruptShardError, RewardError
from .labels import LabelledQuestion
from .shard_index import ShardIndex

logger = logging.getLogger(__name__)

INDEX = "index.json"
_KEY = "latent_tts"  # of a shard's metadata; one, because safetensors keeps no order among several


class Shards:
    """A folder of shards.

    Attributes:
        folder: where they lie.
        index: what made them.
    """

    def __init__(self, folder: Path, index: ShardIndex) -> None:
        """Take a folder as it is; see `begin` and `open`."""
        self.folder, self.index = folder, index

    @classmethod
    def begin(cls, folder: Path, index: ShardIndex) -> "Shards":
        """Begin a folder, or go on with one that the same settings began.

        Raises:
            RewardError: the folder was begun with other settings; names them.
        """
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / INDEX).exists():
            shards = cls.open(folder)
            found = shards.index.differences(index)
            if found:
                listed = "; ".join(
                    f"{name} was {old!r} and is now {new!r}" for name, (old, new) in found.items()
                )
                raise RewardError(
                    f"The shards in {folder} were made otherwise: {listed}. Repeat the command "
                    "that began them, or choose another folder."
                )
            return shards
        text = json.dumps(asdict(index), indent=2) + "\n"
        _write_whole(folder / INDEX, text.encode())
        return cls(folder, index)

    @classmethod
    def open(cls, folder: Path) -> "Shards":
        """Open a folder of shards, finished or not.

        Raises:
            RewardError: it has no index, or one that cannot be read.
        """
        path = folder / INDEX
        try:
            return cls(folder, ShardIndex(**json.loads(path.read_text(encoding="utf-8"))))
        except (OSError, ValueError, TypeError) as error:
            raise RewardError(
                f"{path} is no index of shards ({error}). Give a folder that `latent-tts annotate` "
                "wrote."
            ) from error

    def path(self, shard: int) -> Path:
        """Return the file of a shard."""
        return self.folder / f"shard-{shard:05d}.safetensors"

    def write(self, shard: int, entries: Sequence[LabelledQuestion]) -> None:
        """Write a shard, which appears only once it is whole."""
        tensors = _pack(entries)
        about = {
            "run": self.index.digest,
            "shard": shard,
            "tensors": tensors_digest(tensors),
            "questions": [
                {"id": entry.id, "gold": entry.gold, "answers": entry.answers} for entry in entries
            ],
        }
        _write_whole(self.path(shard), save(tensors, metadata={_KEY: json.dumps(about)}))

    def read(self, shard: int) -> list[LabelledQuestion]:
        """Read a shard.

        Raises:
            CorruptShardError: it is missing, cut off or damaged.
            RewardError: it belongs to another run.
        """
        path = self.path(shard)
        try:
            with safe_open(path, framework="pt") as file:
                about = json.loads(file.metadata()[_KEY])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            whole = about["tensors"] == tensors_digest(tensors)
            entries = _unpack(tensors, about["questions"]) if whole else []
            run, place = about["run"], about["shard"]
        except (OSError, SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
            raise CorruptShardError(f"The shard {path} cannot be read: {error}.") from error
        if not whole:
            raise CorruptShardError(f"The shard {path} is damaged: its checksum does not match.")
        if (run, place) != (self.index.digest, shard):
            raise RewardError(
                f"The shard {path} was made by another run than {path.parent / INDEX} describes: "
                "another backbone, seed or question set. Take it out of the folder."
            )
        return entries

    def whole(self, seen: Callable[[list[LabelledQuestion]], None] | None = None) -> list[int]:
        """Return the shards that are there and whole, naming each damaged one in a warning.

        Args:
            seen: called with each shard's questions.

        Raises:
            RewardError: one belongs to another run.
        """
        found = []
        for shard in range(self.index.shards):
            if not self.path(shard).exists():
                continue
            try:
                entries = self.read(shard)
            except CorruptShardError as error:
                logger.warning("%s It is left out.", error)
                continue
            found.append(shard)
            if seen is not None:
                seen(entries)
        return found


def _pack(entries: Sequence[LabelledQuestion]) -> dict[str, torch.Tensor]:
    """Pad the questions of a shard to one number of thoughts."""
    depth = max(entry.thoughts.shape[1] for entry in entries)

    def padded(name: str) -> torch.Tensor:
        rows = []
        for entry in entries:
            tensor = getattr(entry, name)
            shape = (len(tensor), depth - tensor.shape[1], *tensor.shape[2:])
            rows.append(torch.cat((tensor, tensor.new_zeros(shape)), dim=1))
        return torch.stack(rows)

    return {
        "prompts": torch.tensor([token for entry in entries for token in entry.prompt]),
        "prompt_lengths": torch.tensor([len(entry.prompt) for entry in entries]),
        "thoughts": padded("thoughts"),
        "labels": padded("labels"),
        "lengths": torch.stack([entry.lengths for entry in entries]),
        "right": torch.stack([entry.right for entry in entries]),
    }


def _unpack(
    tensors: dict[str, torch.Tensor], questions: Sequence[dict[str, Any]]
) -> list[LabelledQuestion]:
    prompts = tensors["prompts"].split(tensors["prompt_lengths"].tolist())
    entries = []
    for place, (question, prompt) in enumerate(zip(questions, prompts, strict=True)):
        lengths = tensors["lengths"][place]
        longest = int(lengths.max())
        entries.append(
            LabelledQuestion(
                id=question["id"],
                gold=question["gold"],
                prompt=tuple(prompt.tolist()),
                answers=tuple(question["answers"]),
                thoughts=tensors["thoughts"][place, :, :longest],
                lengths=lengths,
                labels=tensors["labels"][place, :, :longest],
                right=tensors["right"][place],
            )
        )
    return entries


def _write_whole(path: Path, content: bytes) -> None:
    """Write a file that is never seen in part, whatever happens meanwhile."""
    for stale in path.parent.glob(f".{path.name}.*.tmp"):
        stale.unlink(missing_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with part.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)

"""Labelled questions on disk: shards of safetensors beside an index that says what made them.

A shard holds a fixed range of the question set, so that it is the same whoever writes it and
whenever. It appears under its name only when it is complete, hence a folder may be read while it
is being written, and a run that was killed goes on with the shards that are not there.
"""

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import msgspec
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from ..differences import differences
from ..files import write_at_once
from ..models.identity import tensors_digest
from .errors import CorruptShardError, RewardError
from .labels import LabelledQuestion, stacked
from .shard_index import ShardIndex

logger = logging.getLogger(__name__)

INDEX = "index.json"
_KEY = "latent_tts"  # of a shard's metadata; one, because safetensors keeps no order among several


class _Question(msgspec.Struct):
    """What a shard says of a question beside its tensors."""

    id: str
    gold: str
    answers: tuple[str | None, ...]


class _About(msgspec.Struct):
    """What a shard's metadata say: the index's digest, its number, and its tensors' digest."""

    run: str
    shard: int
    tensors: str
    questions: list[_Question]


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
            if found := differences(asdict(shards.index), asdict(index)):
                raise RewardError(
                    f"The shards in {folder} were made otherwise: {'; '.join(found.values())}. "
                    "Repeat the command that began them, or choose another folder."
                )
            return shards
        text = json.dumps(asdict(index), indent=2) + "\n"
        write_at_once(folder / INDEX, text.encode())
        return cls(folder, index)

    @classmethod
    def open(cls, folder: Path) -> "Shards":
        """Open a folder of shards, finished or not.

        Raises:
            RewardError: it has no index, or one that cannot be read.
        """
        path = folder / INDEX
        try:
            return cls(folder, msgspec.json.decode(path.read_bytes(), type=ShardIndex))
        except (OSError, msgspec.DecodeError) as error:
            raise RewardError(
                f"{path} is no index of shards ({error}). Give a folder that `latent-tts annotate` "
                "wrote."
            ) from error

    def path(self, shard: int) -> Path:
        """Return the file of a shard."""
        return self.folder / f"shard-{shard:05d}.safetensors"

    def write(self, shard: int, entries: Sequence[LabelledQuestion]) -> None:
        """Write a shard, which appears only once it is complete."""
        tensors = _pack(entries)
        about = _About(
            run=self.index.digest,
            shard=shard,
            tensors=tensors_digest(tensors),
            questions=[_Question(entry.id, entry.gold, entry.answers) for entry in entries],
        )
        metadata = {_KEY: msgspec.json.encode(about).decode()}
        write_at_once(self.path(shard), save(tensors, metadata=metadata))

    def read(self, shard: int) -> list[LabelledQuestion]:
        """Read a shard.

        Raises:
            CorruptShardError: it is missing, cut off or damaged.
            RewardError: it belongs to another run.
        """
        path = self.path(shard)
        try:
            with safe_open(path, framework="pt") as file:
                about = msgspec.json.decode(file.metadata()[_KEY], type=_About)
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            sound = about.tensors == tensors_digest(tensors)
            entries = _unpack(tensors, about.questions) if sound else []
        except (OSError, SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
            raise CorruptShardError(f"The shard {path} cannot be read: {error}.") from error
        if not sound:
            raise CorruptShardError(f"The shard {path} is damaged: its checksum does not match.")
        if (about.run, about.shard) != (self.index.digest, shard):
            raise RewardError(
                f"The shard {path} was made by another run than {path.parent / INDEX} describes: "
                "another backbone, seed or question set. Take it out of the folder."
            )
        return entries

    def complete(self, seen: Callable[[list[LabelledQuestion]], None] | None = None) -> list[int]:
        """Return the shards that are there and sound, naming each damaged one in a warning.

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
    """Return the tensors of a shard, its questions padded to one number of thoughts."""
    return {
        "prompts": torch.tensor([token for entry in entries for token in entry.prompt]),
        "prompt_lengths": torch.tensor([len(entry.prompt) for entry in entries]),
        "thoughts": stacked([entry.thoughts for entry in entries]),
        "labels": stacked([entry.labels for entry in entries]),
        "lengths": torch.stack([entry.lengths for entry in entries]),
        "right": torch.stack([entry.right for entry in entries]),
    }


def _unpack(
    tensors: dict[str, torch.Tensor], questions: Sequence[_Question]
) -> list[LabelledQuestion]:
    prompts = tensors["prompts"].split(tensors["prompt_lengths"].tolist())
    entries = []
    for index, (question, prompt) in enumerate(zip(questions, prompts, strict=True)):
        lengths = tensors["lengths"][index]
        longest = int(lengths.max())
        entries.append(
            LabelledQuestion(
                id=question.id,
                gold=question.gold,
                prompt=tuple(prompt.tolist()),
                answers=question.answers,
                thoughts=tensors["thoughts"][index, :, :longest],
                lengths=lengths,
                labels=tensors["labels"][index, :, :longest],
                right=tensors["right"][index],
            )
        )
    return entries

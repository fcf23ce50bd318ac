"""Labelled questions on disk: a store of their trajectories, in which labels are lines too.

What is labelled outlives the program at once, so a killed run goes on with the questions that lack
labels; any number of programs write and read a folder at a time.
"""

import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

import msgspec
import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from ..differences import differences
from ..files import write_at_once
from ..results.store import Labelled, Sampled, Store, StoreError, question_digest
from .errors import CorruptShardError, RewardError
from .labels import LabelledQuestion
from .old_shards import old_entries
from .shard_index import ShardIndex

logger = logging.getLogger(__name__)

INDEX = "index.json"


class Shards:
    """A folder of labelled questions.

    Attributes:
        folder: where they lie.
        index: what made them.
    """

    def __init__(self, folder: Path, index: ShardIndex) -> None:
        """Take a folder as it is; see `begin` and `open`."""
        self.folder, self.index = folder, index
        self._writer: Store | None = None

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
        """Open a folder of labelled questions, finished or not.

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

    def write(self, entries: Mapping[int, LabelledQuestion]) -> None:
        """Keep labelled questions by their numbers in the set: they outlive the program.

        Raises:
            StoreError: they cannot be written, as on a full disk.
        """
        if self._writer is None:
            self._writer = self._store()
        for number, entry in entries.items():
            rows, thoughts, labels = _rows(number, entry)
            self._writer.append(rows, thoughts, labels=labels)

    def close(self) -> None:
        """End writing."""
        if self._writer is not None:
            self._writer.close()

    def check_space(self, bytes_needed: int) -> None:
        """Raise StoreError where the disk has less room than a run will need."""
        self._store().check_space(bytes_needed)

    def entries(self) -> Iterator[tuple[int, LabelledQuestion]]:
        """Yield the questions that are there, by their numbers; name each damaged one.

        Raises:
            RewardError: an old shard belongs to another run.
            StoreError: lines of the store are damaged.
        """
        store = self._store()
        there = store.labelled()
        done = set()
        for number, row in there.items():
            try:
                entry = _entry(store, row, self.index.count)
            except (StoreError, CorruptShardError) as error:
                logger.warning("Question %d: %s It is left out.", number, error)
                continue
            done.add(number)
            yield number, entry
        for number, entry in old_entries(self.folder, self.index):
            if number not in done:
                yield number, entry

    def _store(self) -> Store:
        return Store(self.folder, asdict(self.index))


def _rows(number: int, entry: LabelledQuestion) -> tuple[list[Sampled], list[np.ndarray], Labelled]:
    """Return a question as lines of a store, and the thoughts of each of its trajectories."""
    question = question_digest(entry.prompt)
    lengths: list[int] = entry.lengths.tolist()
    ids = entry.answer_ids or ((),) * len(lengths)
    cut = entry.truncated or (False,) * len(lengths)
    rows = [
        Sampled(question, sample, length, ids[sample], cut[sample])
        for sample, length in enumerate(lengths)
    ]
    thoughts = [own[:length].numpy() for own, length in zip(entry.thoughts, lengths, strict=True)]
    labels = Labelled(
        question=question,
        number=number,
        id=entry.id,
        gold=entry.gold,
        prompt=entry.prompt,
        answers=entry.answers,
        right=tuple(entry.right.tolist()),
        labels=tuple(
            tuple(own[:length].tolist()) for own, length in zip(entry.labels, lengths, strict=True)
        ),
    )
    return rows, thoughts, labels


def _entry(store: Store, row: Labelled, count: int) -> LabelledQuestion:
    """Return a question that a store holds.

    Raises:
        CorruptShardError: its lines do not belong together.
        StoreError: its thoughts are missing or damaged.
    """
    samples = store.samples(row.question)
    own = [samples[number] for number in range(len(row.right)) if number in samples]
    lengths = [len(labels) for labels in row.labels]
    thoughts = [store.thoughts(one) for one in own]
    found = [torch.from_numpy(each) for each in thoughts if each is not None]
    sound = row.number < count and len(found) == len(row.answers) == len(row.right) > 0
    if (
        not sound
        or [len(each) for each in found] != lengths
        or len({e.shape[1] for e in found}) > 1
    ):
        raise CorruptShardError("its lines in the store do not belong together.")
    return LabelledQuestion(
        id=row.id,
        gold=row.gold,
        prompt=row.prompt,
        answers=row.answers,
        thoughts=pad_sequence(found, batch_first=True),
        lengths=torch.tensor(lengths),
        labels=pad_sequence([torch.tensor(each) for each in row.labels], batch_first=True),
        right=torch.tensor(row.right),
        answer_ids=tuple(one.answer_ids for one in own),
        truncated=tuple(one.truncated for one in own),
    )

"""A store: a folder for each identity, in it a file for each program that ever wrote."""

import json
import os
import secrets
import socket
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from ...files import free_bytes, write_at_once
from .appended import Appended
from .identity import check_identity, identity_digest, nearest_identity
from .rows import (
    VERSION,
    Header,
    Labelled,
    Row,
    Sampled,
    Scored,
    Searched,
    StoreError,
    encode_line,
    read_rows,
)
from .thoughts import read_thoughts, write_thoughts

_IDENTITY = "identity.json"
_THOUGHTS = "thoughts"


class Store:
    """Finished samples of one identity.

    Any number of programs may write at a time, each into a file of its own; a sample that several
    wrote is the same in all, since its random numbers are addressed.

    Attributes:
        folder: where they lie.
        others: identities that the store holds too, none of whose samples are taken.
    """

    def __init__(self, root: Path, identity: Mapping[str, Any]) -> None:
        """Open a store, which need not be there yet; nothing is written before a sample is.

        Args:
            root: the folder.
            identity: all that determines samples beside prompt and index, as JSON knows it.

        Raises:
            StoreError: what lies there cannot be read, or is damaged.
        """
        self._identity: dict[str, Any] = json.loads(json.dumps(identity))
        self._digest = identity_digest(self._identity)
        self.folder = root / self._digest
        self._samples: dict[str, dict[int, Sampled]] = {}
        self._files: dict[tuple[str, int], list[str]] = {}  # that hold thoughts of a sample
        self._scores: dict[tuple[str, str], dict[int, tuple[float | None, ...]]] = {}
        self._searched: dict[tuple[str, str], Searched] = {}
        self._labelled: dict[int, Labelled] = {}
        self._file: Appended | None = None
        self._writer = 0  # process that opened it: one that forks later must not share it
        check_identity(self._about, self._digest)
        for path in sorted(self.folder.glob("*.jsonl")):
            self._keep(read_rows(path, self._digest))
        self.others = [path for path in sorted(root.glob(f"*/{_IDENTITY}")) if path != self._about]

    def __len__(self) -> int:
        return sum(map(len, self._samples.values()))

    @property
    def _about(self) -> Path:
        return self.folder / _IDENTITY

    @property
    def _header(self) -> Header:
        return Header(VERSION, self._digest, sys.byteorder)

    def samples(self, question: str) -> Mapping[int, Sampled]:
        """Return the finished samples of a question by their indices."""
        return self._samples.get(question, {})

    def scores(self, question: str, reward_model: str) -> Mapping[int, tuple[float | None, ...]]:
        """Return the step rewards of a question's samples, by one reward model."""
        return self._scores.get((question, reward_model), {})

    def searched(self, question: str, search: str) -> Searched | None:
        """Return what a beam search of a question found; None where none has ended."""
        return self._searched.get((question, search))

    def labelled(self) -> Mapping[int, Labelled]:
        """Return the labels of questions by their numbers, in order."""
        return dict(sorted(self._labelled.items()))

    def thoughts(self, row: Sampled) -> NDArray[np.float16] | None:
        """Return a sample's thoughts f16[T, D]; None where they are not kept.

        Raises:
            StoreError: their file is missing or damaged.
        """
        if row.file is None:
            return None
        # Those that were written again, because others were damaged, serve as well.
        first, *others = dict.fromkeys((row.file, *self._files[row.question, row.sample]))
        try:
            return self._read_thoughts(first, row.sample)
        except StoreError:
            for file in others:
                with suppress(StoreError):
                    return self._read_thoughts(file, row.sample)
            raise

    def _read_thoughts(self, file: str, sample: int) -> NDArray[np.float16]:
        return read_thoughts(self.folder / _THOUGHTS / Path(file).name, sample)

    def nearest(self) -> str | None:
        """Return what differs from the likest other identity that the store holds, in words."""
        return nearest_identity(self.others, self._identity)

    def check_space(self, bytes_needed: int) -> None:
        """Raise StoreError where the disk has less room than a run will need."""
        free = free_bytes(self.folder)
        if free < bytes_needed:
            raise StoreError(
                f"The store {self.folder} needs about {bytes_needed / 1e6:.0f} MB, and "
                f"{free / 1e6:.0f} MB are free. Free space, give another store=, or store=none."
            )

    def append(
        self,
        rows: Sequence[Sampled],
        thoughts: Sequence[NDArray[np.float16]] | None = None,
        *,
        labels: Labelled | None = None,
    ) -> None:
        """Keep finished samples of one question: they outlive the program when this returns.

        Args:
            rows: the samples.
            thoughts: f16[T, D] of each, if they are to be kept too.
            labels: of the samples, if they have any.

        Raises:
            StoreError: they cannot be written, as on a full disk.
        """
        if thoughts is not None and rows:
            tensors = {str(row.sample): own for row, own in zip(rows, thoughts, strict=True)}
            with self._explained():
                file = write_thoughts(self.folder / _THOUGHTS, rows[0].question, tensors)
            rows = [msgspec.structs.replace(row, file=file) for row in rows]
        self._write(rows if labels is None else [*rows, labels])

    def append_scores(self, scores: Sequence[Scored | Searched]) -> None:
        """Keep what a reward model says of finished samples, or what beam searches found.

        Raises:
            StoreError: as `append`.
        """
        self._write(scores)

    def close(self) -> None:
        """End writing."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _keep(self, rows: Iterable[Row]) -> None:
        for row in rows:
            if isinstance(row, Sampled):
                there = self._samples.setdefault(row.question, {})
                if row.file is not None:  # with its thoughts it serves more uses
                    self._files.setdefault((row.question, row.sample), []).append(row.file)
                if row.file is not None or row.sample not in there:
                    there[row.sample] = row
            elif isinstance(row, Searched):
                self._searched[row.question, row.search] = row
            elif isinstance(row, Labelled):
                self._labelled[row.number] = row
            else:
                own = self._scores.setdefault((row.question, row.reward_model), {})
                own[row.sample] = row.step_rewards

    def _write(self, rows: Sequence[Row]) -> None:
        if not rows:
            return
        with self._explained():
            if self._file is None or self._writer != os.getpid():
                self._file, self._writer = self._begin(), os.getpid()
            self._file.append(b"".join(map(encode_line, rows)))
        self._keep(rows)

    def _begin(self) -> Appended:
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self._about.exists():
            text = json.dumps(self._identity, indent=2, sort_keys=True)
            write_at_once(self._about, f"{text}\n".encode())
        name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}.jsonl"
        return Appended(
            self.folder / name, encode_line(Header(VERSION, self._digest, sys.byteorder))
        )

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Say of what cannot be written what to do."""
        try:
            yield
        except OSError as error:
            raise StoreError(
                f"The store {self.folder} cannot be written: {error.strerror or error}. What it "
                "holds is sound. Free space and repeat the command, which goes on from there; or "
                "give another store=, or store=none."
            ) from error

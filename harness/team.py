"""Processes that answer the same questions: the first leads, the others help."""

import os
import pickle
import sys
import time
from base64 import b64decode, b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from accelerate import PartialState
from accelerate.utils import broadcast_object_list
from torch.distributed import DistError, HashStore, Store, TCPStore

from ..errors import LatentTTSError

_POLL_SECONDS = 0.05
_PATIENCE = timedelta(days=30)  # of a process that waits for the first one; a lost one is noticed


class LostProcessError(LatentTTSError):
    """Another process of the run has failed."""


class Team:
    """Processes that answer the same questions: the first leads, the others help.

    What they tell each other lies in one store of keys, which the first process keeps.

    Attributes:
        size: how many there are.
        number: which of them this is.
    """

    def __init__(self, state: PartialState) -> None:
        """Meet the others.

        Args:
            state: accelerate's.
        """
        self.size, self.number = state.num_processes, state.process_index
        self._store = _meet(state)
        self._shifts = 0

    @property
    def leads(self) -> bool:
        """Whether this is the first process."""
        return self.number == 0

    def begin(self) -> "Shift":
        """Begin a shift: a call that all processes take part in."""
        self._shifts += 1
        return Shift(self._store, f"{self._shifts}", self.size, self.number)


class Shift:
    """One call that all processes take part in: a context that tells the others of an error."""

    def __init__(self, store: Store, name: str, size: int, number: int) -> None:
        self._store, self._name, self._size, self._number = store, name, size, number
        self._taken_in = 0

    @property
    def size(self) -> int:
        """How many processes take part."""
        return self._size

    def __enter__(self) -> "Shift":
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if error is not None and self._size > 1:
            self._fail(error)

    def turns(self, name: str, count: int) -> "Turns":
        """Return whose turn each of `count` things is: taken one by one, each by one process."""
        return Turns(self._store, f"{self._name}/{name}", count, self._size)

    def told(self, name: str, value: Any = None) -> Any:
        """Return what the first process says under a name: `value` of its own.

        Raises:
            LostProcessError: it has failed.
        """
        key = f"{self._name}/{name}"
        if self._number == 0:
            if self._size > 1:
                self._store.set(key, _text(value))
            return value
        try:
            value = _value(self._store.get(key))
        except DistError as error:
            raise LostProcessError("The first process has ended before its work was done.") from (
                error
            )
        if isinstance(value, _Failed):
            raise LostProcessError("The first process has failed; its own message says why.")
        return value

    def hand_in(self, result: Any) -> None:
        """Give the first process a result."""
        number = self._store.add(f"{self._name}/handed in", 1)
        self._store.set(f"{self._name}/result {number}", _text(result))

    def handed_in(self) -> Iterator[Any]:
        """Yield the results of other processes that are there and were not taken in yet.

        Raises:
            LostProcessError: one of them has failed.
        """
        there = self._store.add(f"{self._name}/handed in", 0) if self._size > 1 else 0
        while self._taken_in < there:
            self._taken_in += 1
            key = f"{self._name}/result {self._taken_in}"
            result = _value(self._store.get(key))
            self._store.delete_key(key)
            if isinstance(result, _Failed):
                raise LostProcessError(f"Process {result.number} has failed: {result.message}")
            yield result

    def wait(self) -> None:
        """Let the others work for a moment."""
        time.sleep(_POLL_SECONDS)

    def _fail(self, error: BaseException) -> None:
        """Tell the others that this process has failed, so that none waits for it."""
        failed = _Failed(self._number, f"{error}")
        try:
            if self._number == 0:
                for name in ("job", "responses"):
                    self._store.set(f"{self._name}/{name}", _text(failed))
            else:
                self.hand_in(failed)
        except DistError:
            pass  # the one who kept the store has failed first


@dataclass(frozen=True)
class _Failed:
    number: int
    message: str


class Turns:
    """Numbers from 0 on, each of which one process takes.

    A process asks for the next when it has room, so that none is idle while work is left; and it
    holds no more than its share of what is left, so that all end at about the same time.
    """

    def __init__(self, store: Store, name: str, count: int, size: int) -> None:
        self._store, self._name, self._count, self._size = store, name, count, size

    def __iter__(self) -> Iterator[int]:
        while (number := self._store.add(self._name, 1) - 1) < self._count:
            yield number

    def share(self) -> int:
        """Return how many of them a process may have begun and not finished."""
        if self._size == 1:
            return sys.maxsize
        left = max(0, self._count - self._store.add(self._name, 0))
        return max(1, -(-left // self._size))


def _meet(state: PartialState) -> Store:
    """Return the store of keys that the processes of a run share."""
    if state.num_processes == 1:
        return HashStore()
    address, first = os.environ["MASTER_ADDR"], state.is_main_process
    own = None
    if first:
        own = TCPStore(address, 0, is_master=True, wait_for_workers=False, timeout=_PATIENCE)
    (port,) = broadcast_object_list([own.port if own else None])
    return own or TCPStore(address, port, wait_for_workers=False, timeout=_PATIENCE)


def _text(value: Any) -> str:
    """Return what the processes of one run may tell each other as a text, which a store takes."""
    return b64encode(pickle.dumps(value)).decode()


def _value(text: bytes) -> Any:
    return pickle.loads(b64decode(text))

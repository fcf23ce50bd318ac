"""The order of training examples: a pure function of the seed, so that a resumed run repeats it."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
from torch.utils.data import Dataset

_SORTED_BATCHES = 50  # so many batches' examples are sorted by length before they are cut


class Example(Protocol):
    """A question, the steps that solve it, and its answer."""

    @property
    def question(self) -> str:
        """The text, without any prompt format."""

    @property
    def steps(self) -> Sequence[str]:
        """What is written before the answer, in order."""

    @property
    def answer(self) -> str:
        """The answer's text."""


@dataclass(frozen=True)
class Turn:
    """An example when its turn has come.

    Attributes:
        example: what is learned from.
        update: the optimizer step it belongs to, from 0.
        batch: number of its batch in the whole training, from 0.
        index: its index in the whole training; with the seed, the address of what is random in it.
        visit: how often it has been learned from before.
    """

    example: Example
    update: int
    batch: int
    index: int
    visit: int


def addressed(seed: int, what: str, number: int) -> float:
    """Return a random number of [0, 1) that depends on nothing but its arguments."""
    digest = hashlib.blake2b(f"{seed}:{what}:{number}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "little") >> 11) * 2.0**-53


class Course(Dataset[Turn]):
    """Every example of a training in order: item i is the i-th, from the first update to the last.

    Each pass over the examples has an order of its own; examples of like length share a batch,
    since padding is computed for nothing. Where the examples are no multiple of the batch, each
    pass leaves some others out.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        *,
        updates: int,
        batch_size: int,
        batches: int,
        seed: int,
    ) -> None:
        """Measure the examples.

        Args:
            examples: what is learned from.
            updates: optimizer steps.
            batch_size: examples read together.
            batches: that make up an update, on all processes.
            seed: of the order.
        """
        self.examples = examples
        self._updates, self._batch, self._batches, self._seed = updates, batch_size, batches, seed
        self._lengths = np.array([len(e.question) + sum(map(len, e.steps)) for e in examples])
        whole = len(examples) - len(examples) % batch_size
        self._pass = whole or len(examples)  # examples of a pass
        self._order = lru_cache(maxsize=2)(self._new_order)

    def __len__(self) -> int:
        return self._updates * self._batches * self._batch

    def __getitem__(self, index: int) -> Turn:
        """Return the turn of an index."""
        visit, offset = divmod(index, self._pass)
        batch = index // self._batch
        example = self.examples[self._order(visit)[offset]]
        return Turn(example, batch // self._batches, batch, index, visit)

    def _new_order(self, visit: int) -> np.ndarray:
        """Return which examples a pass learns from, i64[pass]."""
        random = np.random.default_rng([self._seed, visit])
        order = random.permutation(len(self.examples))[: self._pass]
        size = self._batch * _SORTED_BATCHES
        parts = []
        for start in range(0, self._pass, size):
            part = order[start : start + size]
            part = part[np.argsort(-self._lengths[part], kind="stable")]
            cut = [part[at : at + self._batch] for at in range(0, len(part), self._batch)]
            parts += [cut[number] for number in random.permutation(len(cut))]
        return np.concatenate(parts)

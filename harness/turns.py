"""Whose turn questions are, where processes share them."""

from collections.abc import Iterator
from typing import Protocol


class Turns(Protocol):
    """Whose turn the questions are: an iterator over those that this process answers."""

    def __iter__(self) -> Iterator[int]:
        """Return their numbers, where the question that costs most has number 0."""

    def share(self) -> int:
        """Return how many may be begun and not finished."""

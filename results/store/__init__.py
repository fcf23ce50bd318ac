"""Finished samples on disk, under the identity of what made them: runs go on from them."""

from .identity import question_digest
from .rows import Beam, Labelled, Sampled, Scored, Searched, StoreError
from .store import Store

__all__ = [
    "Beam",
    "Labelled",
    "Sampled",
    "Scored",
    "Searched",
    "Store",
    "StoreError",
    "question_digest",
]

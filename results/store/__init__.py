"""Finished samples on disk, under the identity of what made them: runs go on from them."""

from .rows import Beam, Sampled, Scored, Searched, StoreError
from .store import Store

__all__ = ["Beam", "Sampled", "Scored", "Searched", "Store", "StoreError"]

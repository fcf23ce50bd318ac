"""Finished samples on disk, under the identity of what made them: runs go on from them."""

from .rows import Sampled, Scored, StoreError
from .store import Store

__all__ = ["Sampled", "Scored", "Store", "StoreError"]

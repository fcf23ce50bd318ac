"""Candidates that other programs made: their file format, and the run that they become."""

from .pools import PoolLine, read_pools
from .run import write_run

__all__ = ["PoolLine", "read_pools", "write_run"]

"""Candidates that other programs made: their file format, and the run that they become."""

from .dumps import is_dump, read_dump
from .pools import PoolLine, read_pools
from .run import write_run

__all__ = ["PoolLine", "is_dump", "read_dump", "read_pools", "write_run"]

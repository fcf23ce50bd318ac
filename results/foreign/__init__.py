"""Candidates that other programs made: their file formats, and the run that they become."""

from .line import Imported, PoolLine
from .read import read_foreign
from .run import write_run

__all__ = ["Imported", "PoolLine", "read_foreign", "write_run"]

"""Runs written in the formats of other programs, one file each."""

from .eval_results import write_eval_result
from .every_eval_ever import RELATIONS, Publisher, write_record
from .lines import lines_of
from .scorio import write_scorio

__all__ = [
    "RELATIONS",
    "Publisher",
    "lines_of",
    "write_eval_result",
    "write_record",
    "write_scorio",
]

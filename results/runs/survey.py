"""What is known of a sample log without decoding it."""

import gzip
import zlib
from pathlib import Path
from typing import NamedTuple

from .lm_eval_files import open_log

DAMAGED = (EOFError, gzip.BadGzipFile, zlib.error)
"""What reading a packed log raises where it was cut off or changed."""


class Survey(NamedTuple):
    """What is known of a log without decoding it.

    Attributes:
        lines: a count.
        ended: whether the last line ends, so that nothing was cut off.
        pools: whether the first line holds a pool of candidates; that of a damaged log may.
    """

    lines: int
    ended: bool
    pools: bool


def survey(log: Path) -> Survey:
    """Count a log's lines, and look whether they hold pools."""
    lines, last, pools = 0, b"\n", True
    try:
        with open_log(log) as stream:
            first = stream.readline()
            pools = not first or b'\\"candidates\\":' in first
            lines, last = first.count(b"\n"), first[-1:] or last
            while block := stream.read(1 << 20):
                lines += block.count(b"\n")
                last = block[-1:]
    except DAMAGED:
        return Survey(lines, False, pools)
    return Survey(lines + (last != b"\n"), last == b"\n", pools)

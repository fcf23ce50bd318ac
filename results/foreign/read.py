"""One entry for the files of all other programs, each known by how it begins."""

import gzip
from pathlib import Path

import msgspec

from ...tasks import read_tolerance
from ..errors import ResultsError
from ..runs.lenient import decode
from .arrays import is_array
from .dumps import is_dump, read_dump
from .every_eval_ever import read_records
from .line import Imported
from .pools import read_pools
from .samples import read_sample_log
from .scorio import read_scorio


class _FirstLine(msgspec.Struct):
    """What tells one format of lines from another."""

    resps: object = None
    sample_id: object = None
    evaluation_results: object = None


_FIRST_LINE = msgspec.json.Decoder(_FirstLine)


def read_foreign(file: Path, *, judge: str | None = None, tolerance: str | None = None) -> Imported:
    """Read the candidates in a file of another program.

    Args:
        file: pools as JSON Lines, a dump of LatentTTS, an outcome array of scorio, a sample log of
            lm-eval, or a sample file of every_eval_ever.
        judge: the name of the judge of the answers; None for the file's own, or number.
        tolerance: difference from the gold answer that counts as right; None likewise.

    Raises:
        ResultsError: the file is in none of these formats, or damaged.
    """
    if is_array(file):
        return read_scorio(file, judge=judge)
    if is_dump(file):
        if judge not in (None, "number"):
            raise ResultsError(f"{file}: a dump's answers are numbers, so --judge {judge} is not.")
        return read_dump(file, tolerance=read_tolerance(tolerance or "0"))
    first = _first_line(file)
    if first.resps is not None:
        return read_sample_log(file, judge=judge or "number", tolerance=tolerance or "0")
    if first.evaluation_results is not None:
        raise ResultsError(
            f"{file} is the record of every_eval_ever; its candidates are in the sample file that "
            f"it names, {file.stem}_samples.jsonl."
        )
    if first.sample_id is not None:
        return read_records(file, judge=judge, tolerance=tolerance)
    return Imported(read_pools(file, judge or "number"), judge or "number")


def _first_line(file: Path) -> _FirstLine:
    """Return what tells the format; nothing of what is no JSON, which its reader will say."""
    try:
        with gzip.open(file, "rb") if file.suffix == ".gz" else file.open("rb") as stream:
            line = next((line for line in stream if line.strip()), b"")
            try:
                return decode(line, _FIRST_LINE)
            except ValueError:  # a JSON object over several lines
                return decode(line + stream.read(), _FIRST_LINE)
    except (ValueError, EOFError, OSError):
        return _FirstLine()

"""The files of an lm-eval run: which belong together, and whether they are whole."""

import gzip
import json
import re
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from .errors import ResultsError

_DATE = r"(?P<date>\d{4}-\d{2}-\d{2}T\d{2}-\d{2}-\d{2}(\.\d+)?)"
_RESULTS = re.compile(rf".+_{_DATE}\.json")
_LOG = re.compile(rf"samples_(?P<task>.+)_{_DATE}\.jsonl(\.gz)?")

DAMAGED = (EOFError, gzip.BadGzipFile, zlib.error)
"""What reading a packed log raises where it was cut off or changed."""


@dataclass(frozen=True)
class ResultsFile:
    """A results file, read.

    Attributes:
        path: where it lies.
        name: of its run folder, below the folder that was searched.
        date: in the file's name.
        content: of the file.
    """

    path: Path
    name: str
    date: str
    content: Mapping[str, Any]


def find_results(root: Path) -> tuple[list[ResultsFile], list[tuple[Path, str]]]:
    """Read the results files under a folder.

    Args:
        root: a folder, or one results file.

    Returns:
        The files, and what cannot be read with the reason: damaged files, and sample logs that
        have no results file beside them.
    """
    found: list[ResultsFile] = []
    unreadable: list[tuple[Path, str]] = []
    for path in [root] if root.is_file() else sorted(root.rglob("*.json")):
        match = _RESULTS.fullmatch(path.name)
        if match is None:
            if path is root:
                unreadable.append((path, "not named like a results file, results_<date>.json."))
            continue
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(content.get("results"), Mapping):
                raise ValueError("it has no results")
        except OSError as error:  # a link to nowhere, a folder of that name
            unreadable.append((path, f"cannot be read ({error.strerror}). Run again."))
            continue
        except (ValueError, AttributeError, RecursionError) as error:
            unreadable.append((path, f"no results file of lm-eval ({error}). Run again."))
            continue
        name = _run_name(path, root, str(content.get("model_name_sanitized")))
        found.append(ResultsFile(path, name, match["date"], content))
    if root.is_dir():
        stems = {(file.parent, match["date"]) for file, match in _matches(root, "*.json", _RESULTS)}
        unreadable += [
            (log, "a sample log without its results file: the run did not end. Run again.")
            for log, match in _matches(root, "samples_*.jsonl*", _LOG)
            if (log.parent, match["date"]) not in stems
        ]
    return found, unreadable


def log_beside(file: ResultsFile, task: str) -> Path | None:
    """Return a task's sample log, None where there is none."""
    plain = file.path.with_name(f"samples_{task}_{file.date}.jsonl")
    packed = plain.with_name(f"{plain.name}.gz")
    return next((log for log in (plain, packed) if log.is_file()), None)


def task_of(log: Path) -> str:
    """Return the task in a sample log's name."""
    match = _LOG.fullmatch(log.name)
    return match["task"] if match else log.name.removeprefix("samples_").rsplit("_", 1)[0]


def open_log(log: Path) -> BinaryIO:
    """Open a sample log, packed or not."""
    return cast(BinaryIO, gzip.open(log, "rb") if log.suffix == ".gz" else log.open("rb"))


def starts_with_pool(log: Path) -> bool:
    """Tell whether a sample log's first line holds a pool of candidates; a damaged one may."""
    try:
        with open_log(log) as stream:
            return b'{\\"candidates\\":' in stream.readline()
    except DAMAGED:
        return True


def count_lines(log: Path) -> tuple[int, bool]:
    """Return how many lines a sample log has, and whether it ends with a whole one."""
    lines, last = 0, b"\n"
    try:
        with open_log(log) as stream:
            while block := stream.read(1 << 20):
                lines += block.count(b"\n")
                last = block[-1:]
    except DAMAGED:
        return lines, False
    return lines + (last != b"\n"), last == b"\n"


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Name the path, and print no traceback, where what is done inside cannot write.

    Raises:
        ResultsError: the operating system refused.
    """
    try:
        yield
    except OSError as error:
        raise ResultsError(
            f"{str(path)!r} cannot be written ({error.strerror}). Name another place."
        ) from error


def _matches(root: Path, pattern: str, name: re.Pattern[str]) -> list[tuple[Path, re.Match[str]]]:
    pairs = [(path, name.fullmatch(path.name)) for path in sorted(root.rglob(pattern))]
    return [(path, match) for path, match in pairs if match]


def _run_name(path: Path, root: Path, model: str) -> str:
    """Name a run by its folder; lm-eval itself puts a folder of the model's name into it."""
    folder = path.parent.parent if path.parent.name == model else path.parent
    if root.is_file() or not folder.is_relative_to(root) or folder == root:
        return folder.resolve().name
    return folder.relative_to(root).as_posix()

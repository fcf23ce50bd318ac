"""lm-eval's files: their names, and which belong together."""

import gzip
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import msgspec

from ..errors import ResultsError
from .lenient import decode
from .lm_eval_fields import ResultsFile
from .record import Problem

_DATE = r"(?P<date>\d{4}-\d{2}-\d{2}T\d{2}-\d{2}-\d{2}(\.\d+)?)"
_RESULTS = re.compile(rf".+_{_DATE}\.json")
_LOG = re.compile(rf"samples_(?P<task>.+)_{_DATE}\.jsonl(\.gz)?")

_FILE = msgspec.json.Decoder(ResultsFile)


@dataclass(frozen=True)
class Found:
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
    content: ResultsFile


def find_results(root: Path) -> tuple[list[Found], list[Problem]]:
    """Read the results files under a folder.

    Args:
        root: a folder, or one results file.

    Returns:
        The files, and what cannot be read with the reason: damaged files, and sample logs that
        have no results file beside them.
    """
    found: list[Found] = []
    unreadable: list[Problem] = []
    for path in [root] if root.is_file() else sorted(root.rglob("*.json")):
        match = _RESULTS.fullmatch(path.name)
        if match is None:
            if path is root:
                unreadable.append(
                    _lost(path, "not named like a results file, results_<date>.json.")
                )
            continue
        try:
            content = decode(path.read_bytes(), _FILE)
            msgspec.json.encode(content)  # refuses half a character, which no table can hold
        except OSError as error:  # a link to nowhere, a folder of that name
            unreadable.append(_lost(path, f"cannot be read ({error.strerror}). Run again."))
        except ValueError as error:
            unreadable.append(_lost(path, f"no results file of lm-eval ({error}). Run again."))
        else:
            name = _run_name(path, root, str(content.model_name_sanitized))
            found.append(Found(path, name, match["date"], content))
    return found, unreadable + (_lone_logs(root) if root.is_dir() else [])


def _lost(path: Path, message: str) -> Problem:
    return Problem(path, message, lost=True)


def _lone_logs(root: Path) -> list[Problem]:
    known = {(file.parent, match["date"]) for file, match in _matches(root, "*.json", _RESULTS)}
    return [
        _lost(log, "a sample log without its results file: the run did not end. Run again.")
        for log, match in _matches(root, "samples_*.jsonl*", _LOG)
        if (log.parent, match["date"]) not in known
    ]


def log_beside(results: Path, task: str) -> Path | None:
    """Return a task's sample log beside a results file, None where there is none."""
    match = _RESULTS.fullmatch(results.name)
    plain = results.with_name(f"samples_{task}_{match['date'] if match else ''}.jsonl")
    packed = plain.with_name(f"{plain.name}.gz")
    return next((log for log in (plain, packed) if log.is_file()), None)


def open_log(log: Path) -> BinaryIO:
    """Open a sample log, packed or not."""
    return cast(BinaryIO, gzip.open(log, "rb") if log.suffix == ".gz" else log.open("rb"))


def write_files(
    folder: Path, date: str, content: ResultsFile, logs: Mapping[str, Iterator[bytes]]
) -> Path:
    """Write a results file and its sample logs.

    Args:
        folder: to write to; is made.
        date: of the run, as the files' names have it.
        content: of the results file.
        logs: task -> the lines of its log.

    Returns:
        The results file.

    Raises:
        ResultsError: the operating system refused.
    """
    results = folder / f"results_{date}.json"
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for task, lines in logs.items():
            with (folder / f"samples_{task}_{date}.jsonl").open("xb") as stream:
                stream.writelines(lines)
        results.write_bytes(msgspec.json.format(msgspec.json.encode(content), indent=2))
    return results


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

"""A sweep from a YAML: every point an ordinary run of lm-eval, what they share sampled once."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

import msgspec
import yaml

from ..differences import differences
from ..files import write_at_once
from ..models.samplers import parameters
from ..registry import near
from ..results import ResultsError
from .benchmarks import task_folder

_DONE = "point.json"  # beside a run that has ended, with what was run
_COUNTS = ("num_return_sequences", "reward_model", "aggregation", "num_beams")  # share candidates
_KNOWN = ("tasks", "settings", "points", "flags", "slurm")


class Sweep(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file of a sweep.

    Attributes:
        tasks: lm-eval's names.
        settings: what --model_args takes, each one value or a list of them; all combinations.
        points: the same under names of their own, each group over `settings`, where not every
            combination is wanted. A group may have `tasks` of its own, and `flags` over the file's.
        flags: further flags of `lm_eval run`, such as `limit: 100`.
        slurm: parameters of submitit's executor, such as `timeout_min`, for --slurm.
    """

    tasks: tuple[str, ...]
    settings: dict[str, Any] = {}
    points: dict[str, dict[str, Any]] = {}
    flags: dict[str, Any] = {}
    slurm: dict[str, Any] = {}


class _Group(msgspec.Struct, frozen=True):
    """What stands in a group of points beside its settings."""

    tasks: tuple[str, ...]
    flags: dict[str, Any] = {}


@dataclass(frozen=True)
class Point:
    """One run of a sweep.

    Attributes:
        name: of its folder: the settings that vary.
        tasks: lm-eval's names.
        settings: what --model_args is given.
        flags: further flags of `lm_eval run`.
    """

    name: str
    tasks: tuple[str, ...]
    settings: Mapping[str, Any]
    flags: Mapping[str, Any]

    def command(self, folder: Path) -> list[str]:
        """Return the command that runs it, with the store that all points share."""
        given = {**self.settings, "store": str(folder / "store")}
        flags = {"tasks": ",".join(self.tasks), "output_path": str(folder / "runs" / self.name)}
        flags |= {"include_path": str(task_folder()), "batch_size": "auto", **self.flags}
        written = ",".join(f"{name}={value}" for name, value in given.items())
        return [
            *(sys.executable, "-m", "lm_eval", "run", "--model", "latent_tts", "--log_samples"),
            *("--model_args", written),
            *(part for name, value in flags.items() for part in (f"--{name}", _typed(value))),
        ]


def read_sweep(path: Path) -> Sweep:
    """Read a sweep's YAML.

    Raises:
        ResultsError: it cannot be read, or is no sweep.
    """
    try:
        given = yaml.safe_load(path.read_text(encoding="utf-8"))
        if isinstance(given, dict):
            for name in given.keys() - set(_KNOWN):
                raise ResultsError(f"{path}: no {name!r} in a sweep.{near(str(name), _KNOWN)}")
        sweep = msgspec.convert(given, Sweep)
        for own in sweep.points.values():
            msgspec.convert({"tasks": (), **own}, _Group)
        return sweep
    except (OSError, UnicodeError, yaml.YAMLError, msgspec.ValidationError) as error:
        raise ResultsError(
            f"{path} is no sweep: {error}. It needs `tasks`, a list of names, and `settings`, what "
            "--model_args takes, each one value or a list of them."
        ) from error


def find_points(sweep: Sweep) -> list[Point]:
    """Return a sweep's runs: all combinations of its settings, each once.

    A sampler's parameter is left out where another sampler is chosen, so that points which differ
    in it alone are one.

    Raises:
        ResultsError: no settings, one without values, or a value that --model_args cannot carry.
    """
    if not sweep.settings and not sweep.points:
        raise ResultsError("A sweep needs `settings`, or `points` with settings of their own.")
    found: dict[str, Point] = {}
    for group, given in (sweep.points or {"": {}}).items():
        own = dict(given)
        tasks, flags = own.pop("tasks", sweep.tasks), {**sweep.flags, **own.pop("flags", {})}
        for told, settings in _combinations({**sweep.settings, **own}):
            name = ",".join([group] * bool(group) + told)
            name = re.sub(r"[^\w.=,+-]", "-", name) or "run"
            found.setdefault(name, Point(name, tuple(tasks), settings, flags))
    return list(found.values())


def _combinations(given: Mapping[str, Any]) -> Iterator[tuple[list[str], dict[str, Any]]]:
    """Yield settings, and what of them varies in words."""
    lists = {k: v if isinstance(v, list) else [v] for k, v in given.items()}
    for name, values in lists.items():
        if not values or any(isinstance(v, list | dict) or "," in str(v) for v in values):
            raise ResultsError(
                f"settings: {name}: {given[name]!r}; allowed are one value or a list of values, "
                "without commas."
            )
    varying = [name for name, values in lists.items() if len(values) > 1]
    for chosen in product(*lists.values()):
        own = _read_settings(dict(zip(lists, chosen, strict=True)))
        yield [f"{name}={own[name]}" for name in varying if name in own], own


def run_sweep(points: Sequence[Point], folder: Path, *, processes: int = 1) -> Iterator[str]:
    """Run the points that have not ended yet, and yield each name as it ends.

    Those that share candidates follow each other, the most samples first, so that the others find
    theirs in the store.

    Args:
        points: of one sweep.
        folder: `runs/` and `store/` go there.
        processes: how many run at a time.

    Raises:
        ResultsError: a run failed, or its folder holds another one.
    """
    with ThreadPoolExecutor(processes) as executor:
        jobs = [executor.submit(run_points, part, folder) for part in groups(points)]
        for job in jobs:
            yield from job.result()


def submit_sweep(
    points: Sequence[Point], folder: Path, *, cluster: str, options: Mapping[str, Any]
) -> Iterator[str]:
    """Hand the points to submitit, a job for those that share candidates, and wait for all.

    Args:
        points: of one sweep.
        folder: `runs/`, `store/` and submitit's `jobs/` go there; all machines must see it.
        cluster: submitit's, `slurm`, or `local` for processes on this machine.
        options: parameters of its executor, such as `timeout_min` and `slurm_partition`.

    Raises:
        ResultsError: submitit is not installed or refuses, or a run failed.
    """
    try:
        import submitit
    except ImportError as error:
        raise ResultsError(
            "--slurm needs the library submitit: pip install 'latent-tts[slurm]'."
        ) from error
    try:
        executor = submitit.AutoExecutor(folder=str(folder / "jobs"), cluster=cluster)
        executor.update_parameters(**options)
        with executor.batch():
            jobs = [executor.submit(run_points, part, folder) for part in groups(points)]
    except (RuntimeError, TypeError, ValueError, NameError) as error:
        raise ResultsError(f"submitit refuses --slurm {cluster} with {options}: {error}") from error
    for job in jobs:
        try:
            yield from job.result()
        except submitit.core.utils.FailedJobError as error:
            raise ResultsError(f"Job {job.job_id} failed: {error}") from error


def groups(points: Sequence[Point]) -> list[list[Point]]:
    """Return points that share candidates together, the most samples first."""
    found: dict[tuple[object, ...], list[Point]] = {}
    for point in points:
        key = tuple((k, str(v)) for k, v in point.settings.items() if k not in _COUNTS)
        found.setdefault(key, []).append(point)
    return [
        sorted(part, key=lambda point: -int(point.settings.get("num_return_sequences", 0)))
        for part in found.values()
    ]


def run_points(points: Sequence[Point], folder: Path) -> list[str]:
    """Run points one after the other, but for those that have ended, and return their names."""
    for point in points:
        _run(point, folder)
    return [point.name for point in points]


def _run(point: Point, folder: Path) -> None:
    own = folder / "runs" / point.name
    record = json.loads(json.dumps(asdict(point)))
    if (own / _DONE).is_file():
        before = json.loads((own / _DONE).read_text(encoding="utf-8"))
        if told := differences(before, record):
            raise ResultsError(
                f"{own} holds another run: {'; '.join(told.values())}. Give another --output."
            )
        return
    own.mkdir(parents=True, exist_ok=True)
    with (own / "log.txt").open("wb") as log:
        done = subprocess.run(point.command(folder), stdout=log, stderr=subprocess.STDOUT)
    if done.returncode:
        lines = (own / "log.txt").read_text(encoding="utf-8", errors="replace").strip().splitlines()
        raise ResultsError(
            f"{point.name} failed with {done.returncode}: {lines[-1] if lines else 'no output'} "
            f"({own / 'log.txt'}). Mend it and repeat the command, which goes on from there."
        )
    write_at_once(own / _DONE, f"{json.dumps(record, indent=2)}\n".encode())


def _read_settings(given: dict[str, Any]) -> dict[str, Any]:
    """Return settings without the parameters of samplers that are not chosen."""
    sampled = given.get("latent_do_sample", True) not in (False, "false", "False")
    chosen = given.get("latent_do_sample_by") if sampled else None
    read = set(parameters(str(chosen))) if chosen is not None else set()
    unread = set(parameters()) - read if chosen is not None or not sampled else set()
    if not sampled:
        unread |= {"latent_do_sample_by", "num_return_sequences"}
    return {name: value for name, value in given.items() if name not in unread}


def _typed(value: object) -> str:
    return json.dumps(value) if isinstance(value, dict) else str(value)

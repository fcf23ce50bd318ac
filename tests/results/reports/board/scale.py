"""How long a leaderboard of many large runs takes, and how much memory; never run by pytest.

`python -m tests.results.reports.board.scale FOLDER` makes 200 runs of 1,319 questions with 64
candidates each below FOLDER, unless they are there, then builds their leaderboard and prints a line
of JSON.
Half of the runs have rewards, a tenth step rewards as well.
"""

import json
import os
import resource
import shutil
import sys
import time
from pathlib import Path
from subprocess import Popen
from typing import Any

import click
import psutil

from tests.results.made import edit
from tests.results.reports.board.random_runs import random_run

KINDS = 20  # logs that differ; the other runs hold copies of their own


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--runs", default=200, show_default=True)
@click.option("--questions", default=1319, show_default=True)
@click.option("--samples", default=64, show_default=True)
@click.option("--processes", default=2, show_default=True)
def measure(folder: Path, runs: int, questions: int, samples: int, processes: int) -> None:
    """Make runs, build their leaderboard, print seconds and peak memory."""
    source, output = folder / "runs", folder / "board"
    for index in range(runs):
        make(source, index, questions=questions, samples=samples)
    shutil.rmtree(output, ignore_errors=True)
    command = ["leaderboard", str(source), "--output", str(output), "--processes", str(processes)]
    start = time.perf_counter()
    process = Popen([sys.executable, "-m", "latent_tts.harness.cli", *command])
    peak = 0
    while process.poll() is None:
        peak = max(peak, memory(process.pid))
        time.sleep(0.5)  # adding up pages takes time itself
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    figures = {
        "seconds": round(time.perf_counter() - start, 1),
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 1),
        "peak_mib": peak >> 20,
        "read_mib": size(source) >> 20,
        "written_mib": size(output) >> 20,
        "exit_code": process.returncode,
        "load": os.getloadavg()[0],
    }
    click.echo(json.dumps(figures))


def make(source: Path, index: int, *, questions: int, samples: int) -> None:
    """Make a run unless it is there; most logs are copies of another's."""
    folder = source / f"run-{index:03}"
    if folder.exists():
        return
    kind = index % KINDS
    own = {"seed": index, "latent_do_sample_by": ("noise", "dropout")[index % 2]}
    if index < KINDS:
        rewards, steps = kind % 2 == 1, kind in (1, 11)
        shape = {"questions": questions, "samples": samples, "skill": 0.3 + 0.02 * kind}
        random_run(folder, seed=index, rewards=rewards, steps=steps, **shape)
    else:
        shutil.copytree(source / f"run-{kind:03}", folder)
    (results,) = folder.rglob("results_*.json")
    edit(results, lambda content: set_all(content, own))


def set_all(content: dict[str, Any], settings: dict[str, Any]) -> None:
    """Change settings wherever a results file holds them."""
    made = content["config"]["latent_tts"]
    for holder in (made, *made["tasks"].values()):
        holder["settings"].update(settings)


def memory(pid: int) -> int:
    """Return the bytes that a process and its children hold; shared pages count once."""
    try:
        parent = psutil.Process(pid)
        family = [parent, *parent.children(recursive=True)]
        return sum(process.memory_full_info().pss for process in family)
    except psutil.NoSuchProcess:
        return 0


def size(folder: Path) -> int:
    """Return the bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


if __name__ == "__main__":
    measure()

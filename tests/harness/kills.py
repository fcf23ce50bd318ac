"""Runs of lm-eval's own command, on one process or several, that are killed at random moments."""

import multiprocessing
import os
import random
import runpy
import signal
import socket
import sys
import time
from contextlib import suppress
from functools import partial
from pathlib import Path


def killed(folder: Path, *, arguments: list[str], kills: int, size: int, seed: int) -> list[int]:
    """Begin the same run again and again, and kill each; then let it end.

    Args:
        folder: to work in; the run's --output_path is `out` in it.
        arguments: of lm-eval's command.
        kills: runs that are killed, at moments spread over the whole work.
        size: bytes that the store of a whole run takes.
        seed: of the moments, of which process is killed, and of how many processes there are.

    Returns:
        How many processes each killed run had.
    """
    draw, done = random.Random(seed), []
    for left in range(kills, 0, -1):
        count = draw.choice([1, 1, 2, 3])
        processes = start(count, arguments, folder)
        if draw.random() < 0.2:
            time.sleep(draw.uniform(0, 1))  # while it starts, too
        else:
            kept = kept_bytes(folder / "out")  # so that work is left for the kills that are
            enough = kept + draw.uniform(0, max(0, size - kept) / (left + 1))
            while kept_bytes(folder / "out") < enough and all(p.is_alive() for p in processes):
                time.sleep(0.005)
            time.sleep(draw.uniform(0, 0.02))
        first = draw.choice(processes)
        for process in (first, *processes):  # as a launcher does, where one of its processes ends
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
            process.join()
        assert first.exitcode == -signal.SIGKILL, "the run ended before it was killed"
        done.append(count)
    (process,) = start(1, arguments, folder)
    process.join()
    assert process.exitcode == 0, (folder / "log").read_text()[-3000:]
    return done


def start(
    count: int, arguments: list[str], folder: Path
) -> list[multiprocessing.process.BaseProcess]:
    """Start the processes of a run, as torchrun does but in no time: modules are imported already.

    Args:
        count: of processes.
        arguments: of lm-eval's command, but for --output_path.
        folder: to work in; what the processes say is appended to `log` in it.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["lm_eval.evaluator", "latent_tts.harness.lm", __name__])
    together = {}
    if count > 1:
        with socket.socket() as free:
            free.bind(("localhost", 0))
            port = str(free.getsockname()[1])
        together = {"MASTER_ADDR": "localhost", "MASTER_PORT": port, "WORLD_SIZE": str(count)}
    processes = []
    for rank in range(count):
        own = {"RANK": str(rank), "LOCAL_RANK": str(rank)} if count > 1 else {}
        process = context.Process(target=_run, args=(arguments, together | own, str(folder)))
        process.start()
        processes.append(process)
    return processes


def _run(arguments: list[str], environment: dict[str, str], folder: str) -> None:
    os.environ.update(environment)
    os.chdir(folder)
    log = os.open("log", os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    os.dup2(log, 1)
    os.dup2(log, 2)
    import lm_eval.tasks

    # Its own tasks, thousands of files, are of no use here.
    lm_eval.tasks.TaskManager = partial(lm_eval.tasks.TaskManager, include_defaults=False)
    sys.argv = ["lm_eval", "run", *arguments, "--output_path", "out"]
    runpy.run_module("lm_eval", run_name="__main__", alter_sys=True)


def kept_bytes(output: Path) -> int:
    """Bytes of the store beside an --output_path."""
    total = 0
    for path in output.glob("store/*/*.jsonl"):
        total += path.stat().st_size
    return total

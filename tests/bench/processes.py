"""How much faster two processes are than one: `python -m tests.bench.processes`.

Each round runs lm-eval's own command on one process and then on two, each with one thread, and
reads the seconds of sampling from the results files, and from the store's files when each process
ended its last question: the first to end is idle until the last one does. Only the ratio within a
round says something, and only on a machine whose cores are free.
"""

import json
import os
import statistics
import tempfile
from pathlib import Path

import click

from tests.harness.evaluation import BENCHMARKS
from tests.harness.kills import start


def seconds(count: int, folder: Path, questions: int, samples: int) -> tuple[float, float]:
    """Return the seconds of sampling, and those that the first process to end is idle."""
    folder.mkdir()
    processes = start(
        count,
        [
            *("--model", "latent_tts", "--tasks", "latent_tts_arith", "--limit", str(questions)),
            *("--include_path", str(BENCHMARKS), "--batch_size", "auto"),
            *("--model_args", f"num_return_sequences={samples},latent_do_sample_by=noise"),
        ],
        folder,
    )
    for process in processes:
        process.join()
        if process.exitcode:
            raise SystemExit((folder / "log").read_text())
    (file,) = folder.rglob("results_*.json")
    (task,) = json.loads(file.read_text())["config"]["latent_tts"]["tasks"].values()
    ends = [path.stat().st_mtime for path in folder.rglob("store/*/*.jsonl")]
    return task["throughput"]["seconds"], max(ends) - min(ends)


@click.command()
@click.option("--rounds", default=3, show_default=True)
@click.option("--questions", default=300, show_default=True)
@click.option("--samples", default=64, show_default=True)
def main(rounds: int, questions: int, samples: int) -> None:
    """Print the seconds of each round, and the median of their ratios."""
    os.environ["OMP_NUM_THREADS"] = "1"
    ratios = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds):
            (one, _), (two, idle) = (
                seconds(count, Path(folder) / f"{number}-{count}", questions, samples)
                for count in (1, 2)
            )
            ratios.append(one / two)
            click.echo(
                f"one {one:.1f} s, two {two:.1f} s: {one / two:.2f} times; idle {idle / two:.1%}"
            )
    click.echo(
        f"median {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}), "
        f"n = {rounds}"
    )


if __name__ == "__main__":
    main()

"""Write the test files of the arithmetic task: `python -m latent_tts.tasks.arith --out DIR`."""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

from .problems import generate

SEED: Final = 20250101
COUNT: Final = 500
FILES: Final = {"arith_test.jsonl": False, "arith_hard_test.jsonl": True}
"""File names, and whether the problems in them are hard."""


def write_files(directory: Path) -> list[Path]:
    """Write the easy and the hard test problems, one JSON object a line.

    Args:
        directory: an existing directory.

    Returns:
        The paths of the files written.
    """
    paths = []
    for name, hard in FILES.items():
        problems = generate(split="test", count=COUNT, seed=SEED, hard=hard)
        text = "".join(json.dumps(asdict(problem)) + "\n" for problem in problems)
        path = directory / name
        path.write_bytes(text.encode("utf-8"))
        paths.append(path)
    return paths


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line.

    Args:
        arguments: the words after the program's name; those of this process by default.
    """
    parser = argparse.ArgumentParser(prog="python -m latent_tts.tasks.arith", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="directory, made where missing")
    directory = parser.parse_args(arguments).out
    directory.mkdir(parents=True, exist_ok=True)
    for path in write_files(directory):
        print(path)


if __name__ == "__main__":
    main()

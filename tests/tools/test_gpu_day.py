"""The GPU day's script, rehearsed on a CPU at reduced size."""

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "tools" / "gpu_day.sh"


class Day:
    """Calls the script with folders of its own."""

    def __init__(self, folder: Path, **surroundings: str) -> None:
        self.folder, self.out = folder / "day", folder / "out"
        self.surroundings = surroundings | {
            "GPU_DAY": str(self.folder),
            "OUT": str(self.out),
            "SMALL": "1",
            "PYTHON": sys.executable,
            "GPU_TESTS": str(ROOT / "tests" / "test_rooms.py"),
        }

    def __call__(self, *arguments: str, code: int = 0, **more: str) -> str:
        done = subprocess.run(
            ["bash", str(SCRIPT), *arguments],
            env=os.environ | self.surroundings | more,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stderr

    def steps(self) -> list[tuple[str, int]]:
        lines = (self.out / "steps.jsonl").read_text().splitlines()
        return [(one["step"], one["code"]) for one in map(json.loads, lines)]


@pytest.fixture
def day(tmp_path: Path) -> Day:
    return Day(tmp_path)


def test_without_a_step_it_says_which_there_are(day: Day) -> None:
    for arguments in ((), ("dance",)):
        text = day(*arguments, code=2)
        for step in ("pack", "join", "tests", "bench", "train", "measure", "collect"):
            assert f"tools/gpu_day.sh {step}" in text


def test_training_without_what_is_carried(day: Day) -> None:
    assert "carry the parts, then join" in day("train", "smollm2-explicit", code=2, SMALL="")


def test_joining_what_was_never_carried(day: Day) -> None:
    assert "carry them first" in day("join", code=2)


@pytest.mark.slow
def test_the_parts_are_small_and_make_the_load(day: Day, tmp_path: Path) -> None:
    parts = day.folder / "parts"
    parts.mkdir(parents=True)
    day("pack", PART_MIB="1")
    data = (parts / "00" / "part").read_bytes()
    assert len(data) <= 1 << 20
    # As it is carried: one part at a time, into a folder that is new there.
    there = Day(tmp_path / "there")
    for number, piece in enumerate((data[:1000], data[1000:])):
        folder = there.folder / "parts" / f"{number:02}"
        folder.mkdir(parents=True)
        (folder / "part").write_bytes(piece)
        (folder / "load.sha256").write_bytes((parts / "00" / "load.sha256").read_bytes())
    there("join")
    rows = (there.folder / "data" / "mix_train.jsonl").read_text().splitlines()
    assert {"question", "steps", "answer"} == set(json.loads(rows[0]))
    (there.folder / "parts" / "01" / "part").write_bytes(b"")
    assert "carry each of them again" in there("join", code=2)


@pytest.mark.slow
def test_a_step_that_runs_out_of_time_says_so(day: Day) -> None:
    text = day("bench", code=124, STEP_SECONDS="1")
    assert "bench ran out of its 1 seconds; call it again" in text
    assert day.steps() == [("bench", 124)]


@pytest.mark.slow
def test_a_recipe_that_is_none(day: Day) -> None:
    assert "see" in day("train", "nobodys", code=2)
    assert "No recipe at" in (day.out / "nobodys.log").read_text()


@pytest.mark.slow
def test_the_whole_day(day: Day) -> None:
    day("pack")
    day("join")
    day("tests")
    day("bench")
    day("train", "smollm2-explicit")
    day("train", "smollm2-explicit-2")  # goes on from the first; the recipe's own data stayed here
    day("collect")
    trained = [("smollm2-explicit", 0), ("smollm2-explicit-2", 0)]
    assert day.steps() == [("tests", 5), ("bench", 0), *trained]
    back = {file.name for file in day.out.iterdir()}
    assert {"bench.jsonl", "tests.xml", "steps.jsonl", "smollm2-explicit.tar.gz"} <= back
    assert json.loads((day.out / "bench.jsonl").read_text().splitlines()[0])["N"] == 2
    with tarfile.open(day.out / "smollm2-explicit.tar.gz") as archive:
        names = archive.getnames()
    assert "smollm2-explicit/adapter_model.safetensors" in names
    assert not [name for name in names if "/training" in name]

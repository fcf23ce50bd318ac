"""Fixtures that several rooms' tests share."""

import gc
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).parents[1]

# Nothing that is tested may reach for the network.
os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", TOKENIZERS_PARALLELISM="false")

settings.register_profile(
    "short",
    derandomize=True,  # the same examples everywhere; tox -e nightly draws others
    max_examples=40,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
settings.register_profile(
    "nightly", settings.get_profile("short"), derandomize=False, max_examples=2000, print_blob=True
)
settings.load_profile("short")


def pytest_collection_finish() -> None:
    """Let no garbage collection look at what is imported: there is much of it, and it stays."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def repository_files() -> list[Path]:
    """The files that git tracks or would track, relative to the repository's root."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    names = sorted({Path(name) for name in listed.split("\0") if name})
    return [name for name in names if (ROOT / name).is_file()]


@pytest.fixture
def run_python(tmp_path):
    """Run this interpreter outside the repository, so that only what is installed is found."""

    def run(*arguments: str, check: bool = True, **environment: str):
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=tmp_path,
            env={**os.environ, **environment},
            check=check,
            capture_output=True,
            text=True,
            timeout=600,
        )

    return run


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory) -> dict[str, Path]:
    """Folders of tiny random checkpoints in the released formats, by backbone."""
    from tests.checkpoints import WRITERS  # late, because it imports torch

    folder = tmp_path_factory.mktemp("checkpoints")
    return {kind: write(folder / kind) for kind, write in WRITERS.items()}

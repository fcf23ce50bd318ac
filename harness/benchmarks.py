"""Where the benchmarks' YAMLs are installed."""

import importlib.util
from pathlib import Path


def task_folder() -> Path:
    """Return the installed folder of task YAMLs, without importing the tasks."""
    spec = importlib.util.find_spec("latent_tts.tasks")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("latent_tts.tasks is not installed; reinstall latent-tts")
    return Path(spec.submodule_search_locations[0], "benchmarks")

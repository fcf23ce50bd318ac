"""The scripts in tools/, which are not installed."""

import importlib.util
from pathlib import Path

TOOLS = Path(__file__).parents[2] / "tools"


def load(name):
    """Import a script without running it."""
    spec = importlib.util.spec_from_file_location(f"tools_{name}", TOOLS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module

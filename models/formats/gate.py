"""Stop gates, which say after each thought whether to go on, and which nothing here can follow.

SLPO (arXiv 2607.19691) trains one beside COCONUT and CODI. What the gate reads and how its
threshold is compared is not published, so a checkpoint with a gate is refused, not guessed.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ..errors import ModelError
from .tensors import listed

_GATE = re.compile(r"(^|[._-])(?P<gate>(stop|halt|exit)[_-]?(gate|head))([._-]|$)", re.IGNORECASE)
_CLASS = re.compile(r"Latent(COCONUT|CODI)\w*")  # SLPO's, such as LatentCOCONUTGPT2
_SUFFIXES = (".safetensors", ".bin", ".pt", ".pth", ".ckpt")


def gates_among(names: Iterable[str]) -> list[str]:
    """Return the names of weights or files that are of a stop gate."""
    return sorted(name for name in names if _GATE.search(name))


def gate_files(folder: Path) -> list[str]:
    """Return the names of a folder's files that are named for a stop gate."""
    found = [path.name for path in folder.glob("*") if path.suffix in _SUFFIXES]
    return gates_among(found)


def gated_class(config: Mapping[str, object]) -> str | None:
    """Return the class in a config.json's `architectures` that has a stop gate, or None."""
    named = config.get("architectures")
    names = [str(name) for name in named] if isinstance(named, list) else []
    return next((name for name in names if _CLASS.fullmatch(name)), None)


def gate_error(name: str, gates: Sequence[str], config: Mapping[str, object]) -> ModelError:
    """Return the error for a checkpoint with a stop gate.

    Args:
        name: of the checkpoint.
        gates: its weights, files or class.
        config: what its config.json says.
    """
    matches = {each: _GATE.search(each) for each in gates if not _CLASS.fullmatch(each)}
    patterns = {f"*{match['gate']}*" if match else each for each, match in matches.items()}
    ignored = "+".join(sorted(patterns)) or "*stop_gate*"
    thresholds = {key: value for key, value in config.items() if "threshold" in key.lower()}
    said = ", ".join(f"{key}={value!r}" for key, value in thresholds.items())
    threshold = (
        f"Its config.json says {said}, but not" if said else "Nothing states its threshold, nor"
    )
    return ModelError(
        f"{name!r} has a stop gate ({listed(gates)}; SLPO, arXiv 2607.19691), "
        f"which decides after each thought whether to go on. {threshold} how it is computed from "
        "a thought, which is not published either, so it is not guessed. To think a fixed number "
        "of thoughts without it, which is another model, give latent_length= and "
        f"ignore_weights={ignored}, and backbone=coconut (or codi) where config.json has another "
        "class."
    )

"""What produced the numbers: named in results files, and in what seals the response cache."""

import hashlib
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ..models.formats.files import commit_of, folder_of
from ..results.runs.command import without_secrets

_COMMANDS = frozenset({"lm_eval", "lm-eval", "latent-tts"})


def checkpoint_record(model: Any, name: str, revision: str) -> dict[str, Any]:
    """Return a checkpoint's name and, of its weights, what tells them from others.

    Args:
        model: loaded from it.
        name: as the user gave it.
        revision: of a hub repository.
    """
    folder = folder_of(model.name_or_path, revision)
    released = [*folder.glob("*.safetensors"), *folder.glob("pytorch_model*.bin")]
    files = {"weights": sorted(released)} | dict(getattr(model, "weight_files", {}))
    base_commit = getattr(model, "base_commit", None)
    return {
        "name": name,
        "revision": revision,
        "commit": getattr(model, "commit", None)
        or getattr(model.config, "_commit_hash", None)
        or commit_of(folder),
        **({} if base_commit is None else {"base_commit": base_commit}),
        **{f"{part}_sha256": _digest(found) for part, found in files.items()},
    }


def _digest(files: Sequence[Path]) -> str | None:
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest() if files else None


def typed_command() -> list[str] | None:
    """Return the command line, None where Python code runs lm-eval: then nothing was typed.

    Tokens and passwords are left out, because results files are shared.
    """
    program = Path(sys.argv[0])
    # python -m lm_eval
    name = program.parent.name if program.name == "__main__.py" else program.name
    return without_secrets([name, *sys.argv[1:]]) if name in _COMMANDS else None


def versions() -> dict[str, str]:
    """Return the versions of the packages that numbers depend on."""
    return {name: version(name) for name in ("latent-tts", "lm-eval", "torch", "transformers")}

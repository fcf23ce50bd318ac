"""What produced the numbers: named in results files, and in what seals the response cache."""

import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ..models.formats.hub import commit_of, folder_of, weights_of
from ..models.origin import Origin
from ..results.runs.command import without_secrets

_COMMANDS = frozenset({"lm_eval", "lm-eval", "latent-tts"})


def checkpoint_record(model: Any, name: str, revision: str) -> dict[str, Any]:
    """Return a checkpoint's name and, of its weights, what tells them from others.

    Its base and its adapter are named likewise, where it has them.

    Args:
        model: loaded from it.
        name: as the user gave it.
        revision: of a hub repository.
    """
    folder = folder_of(model.name_or_path, revision)
    origin = getattr(model, "origin", None) or Origin(files={"weights": weights_of(folder)})
    commit = origin.commits.get("weights") or getattr(model.config, "_commit_hash", None)
    others = [part for part in origin.files if part != "weights"]
    return {
        "name": name,
        "revision": revision,
        "commit": commit or commit_of(folder),
        "weights_sha256": origin.digest("weights"),
        **origin.names,
        **{f"{part}_commit": origin.commits[part] for part in others if part in origin.commits},
        **{f"{part}_sha256": origin.digest(part) for part in others},
    }


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

"""Folders of the hub: fetched, found where they lie here, and named by their commits."""

from pathlib import Path

from huggingface_hub import snapshot_download, try_to_load_from_cache
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from .side import model_type

_SMALL = ["*.json", "*.yaml", "tokenizer*", "vocab*", "merges*"]
_LARGE = ["*.safetensors", "*.bin", "*.ckpt", "checkpoint_*"]


def fetch(name: str, revision: str = "main") -> Path | None:
    """Return the folder or file of a name; a hub repository's files are fetched.

    Of a repository whose config.json says a model, the weights are left to transformers.

    Args:
        name: a file, a folder, or a hub id.
        revision: of a hub repository.

    Returns:
        None where there is nothing of that name; transformers says what is wrong with it.
    """
    path = Path(name).expanduser()
    if path.exists():
        return path
    try:
        path = Path(snapshot_download(name, revision=revision, allow_patterns=_SMALL))
        if not model_type(path):
            path = Path(snapshot_download(name, revision=revision, allow_patterns=_LARGE))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError):
        return None
    return path


def folder_of(name: str, revision: str = "main") -> Path:
    """Return the folder of a model that was loaded: its own, or where the hub's files lie here."""
    if Path(name).exists() or name.count("/") != 1:
        return Path(name)
    found = try_to_load_from_cache(name, "config.json", revision=revision)
    return Path(found).parent if isinstance(found, str) else Path(name)


def commit_of(folder: Path) -> str | None:
    """Return the commit of a hub repository's folder, None where it is another's."""
    return folder.name if folder.parent.name == "snapshots" else None


def weights_of(folder: Path) -> tuple[Path, ...]:
    """Return the files of weights that transformers reads in a folder."""
    return tuple(sorted([*folder.glob("*.safetensors"), *folder.glob("pytorch_model*.bin")]))


def tokens_of(folder: Path) -> tuple[Path, ...]:
    """Return the files of config and tokenizer in a folder."""
    patterns = ("config.json", "tokenizer*", "vocab*", "merges*", "special_tokens_map.json")
    return tuple(sorted({file for one in patterns for file in folder.glob(one)}))

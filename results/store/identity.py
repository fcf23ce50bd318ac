"""What made a store's samples: the file that says it, and its digest, which names its folder."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ...differences import differences
from .rows import StoreError
from .thoughts import content_digest


def identity_digest(identity: object) -> str:
    """Return the digest of what made samples, as JSON knows it."""
    return content_digest(json.dumps(identity, sort_keys=True).encode())


def question_digest(prompt: Sequence[int]) -> str:
    """Return the digest of a prompt's token ids, by which a store knows a question."""
    return hashlib.blake2b(",".join(map(str, prompt)).encode(), digest_size=12).hexdigest()


def check_identity(path: Path, digest: str) -> None:
    """Make sure that a file which says what made samples, if it is there, has a digest.

    Raises:
        StoreError: it has another, or cannot be read.
    """
    try:
        there = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        raise StoreError(
            f"{path} cannot be read: {error}. Put its folder aside, or give another store=."
        ) from error
    if (found := identity_digest(there)) != digest:
        raise StoreError(
            f"{path} has another digest ({found}) than its folder says, so it was changed. Put the "
            "folder aside, or give another store=."
        )


def nearest_identity(paths: Iterable[Path], identity: Mapping[str, object]) -> str | None:
    """Return what differs from the likest of some identities, in words that can be printed."""
    found = []
    for path in paths:
        try:
            theirs = json.loads(path.read_text(encoding="utf-8"))
            words = "; ".join(differences(theirs, identity).values())
        except (OSError, ValueError, AttributeError):
            continue
        found.append("".join(one if one.isprintable() else "?" for one in words))
    return min(found, key=len, default=None)

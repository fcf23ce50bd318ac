"""Where a loaded model's weights come from, for records and cards."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

RELEASED = "the released format"


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a loaded model's weights come from.

    Parts are `weights` (the checkpoint that was named), `base` (the language model that it was
    trained from), `base_tokenizer` (that model's config and tokenizer), and `adapter`.

    Attributes:
        layout: in which the checkpoint lay, in words.
        files: part -> what was read of it.
        names: part -> as it was named, for `base` and `adapter`.
        commits: part -> commit, where it lies on the hub.
        found: what else was recognised, in words.
        left_out: what was not used, in words.
    """

    layout: str = RELEASED
    files: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    commits: Mapping[str, str] = field(default_factory=dict)
    found: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    def digest(self, part: str) -> str | None:
        """Return the SHA-256 of the SHA-256s of a part's files, in order; None where it has none.

        A part of one file has that of the file's SHA-256, so that all parts are named alike.
        """
        files = self.files.get(part, ())
        digest = hashlib.sha256()
        for file in files:
            with file.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
        return digest.hexdigest() if files else None

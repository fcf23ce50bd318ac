"""The sentence patterns of the arithmetic problems, which stand in `patterns.json`.

A problem is an opening, some changes, sometimes a comparison or a price, and a question; every
sentence is one pattern. Placeholders: {name} is who the problem is about, {friend} is somebody who
helps in a change, {other} is who is compared with {name}, {objects} is a plural noun, {at} is a
place with its preposition, {n} and {m} are numbers of at least two, {n} always the first in the
text. Kinds come in three worlds: things a person has (no prefix), things at a place (`place_`), and
money a person has (`money_`).
"""

from pathlib import Path
from typing import Final, Literal

import msgspec

Needs = Literal["any", "food", "goods"]


class _Line(msgspec.Struct, forbid_unknown_fields=True):
    text: str
    fixed: int = 0
    needs: Needs = "any"


class _Kind(msgspec.Struct, forbid_unknown_fields=True):
    operation: str
    trained: list[str | _Line]
    held_back: list[str | _Line]


class Pattern(msgspec.Struct, frozen=True):
    """One sentence with placeholders.

    Attributes:
        name: unique name, the kind and a running number.
        kind: what the sentence does; a key of `OPERATIONS`.
        text: the sentence, with placeholders in braces.
        fixed: the number that the words themselves say ("doubles" says 2), 0 when {n} says it.
        needs: which things the sentence is fit for.
        held_back: whether only test problems may use it.
    """

    name: str
    kind: str
    text: str
    fixed: int
    needs: Needs
    held_back: bool


def _patterns(name: str, kind: _Kind) -> list[Pattern]:
    given = kind.trained + kind.held_back
    lines = [line if isinstance(line, _Line) else _Line(line) for line in given]
    return [
        Pattern(f"{name}-{i}", name, line.text, line.fixed, line.needs, i >= len(kind.trained))
        for i, line in enumerate(lines)
    ]


_KINDS: Final = msgspec.json.decode(
    Path(__file__).with_suffix(".json").read_bytes(), type=dict[str, _Kind]
)

OPERATIONS: Final = {name: kind.operation for name, kind in _KINDS.items()}
"""What each kind does to the running result.

`=` sets it to {n}; `n*m`, `n+m`, `n-m` set it from two numbers (one step); `+n`, `-n`, `*n`, `/n`
change it (one step); `+nm`, `-nm` change it by {n} times {m} (two steps); `total` adds the results
before and after the comparison (one step); the empty string leaves it alone.
"""

PATTERNS: Final = tuple(p for name, kind in _KINDS.items() for p in _patterns(name, kind))
"""Every pattern, in a fixed order: generated problems depend on it, so append within a kind only
together with regenerated test files."""

"""What docstrings say of settings, so that --help and documentation are one text."""

import inspect
import re

_SECTION = re.compile(r"^(Attributes|Args):\n((?: {4}.*\n|\n)+)", re.MULTILINE)
_ENTRY = re.compile(r"^ {4}(\w+(?:, \w+)*): (.*(?:\n {8}.*)*)", re.MULTILINE)


def described(kind: type) -> dict[str, str]:
    """Return what a class's docstring says of each of its fields, as one line each.

    Args:
        kind: with a section `Attributes:` or `Args:`; several names may share an entry.
    """
    section = _SECTION.search(f"{inspect.getdoc(kind)}\n")
    found: dict[str, str] = {}
    for names, text in _ENTRY.findall(section[2] if section else ""):
        found |= dict.fromkeys(names.split(", "), " ".join(text.split()))
    return found

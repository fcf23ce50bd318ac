r"""What stands in LaTeX's boxes, in which models that were taught mathematics put their answers."""

import re


def boxed(text: str) -> str | None:
    r"""Return what stands in the last `\boxed{…}` of a text; None where there is no closed one.

    Braces within it are counted.
    """
    return _closed(text) or None


def last_box(text: str) -> str | None:
    r"""Return what the last box of a text states, as Latent-SFT's evaluation reads it.

    That is what stands in its braces, which `boxed` returns; where they are not closed, or where
    there are none (`\boxed 71`), what follows up to a dollar sign or the end of the line. A full
    stop or a slash at its end is dropped.
    """
    if (found := _closed(text)) is None:
        _, command, tail = text.rpartition("boxed")
        found = re.split(r"[$\n]", tail.strip().removeprefix("{"))[0] if command else ""
    return found.strip().rstrip("./").strip() or None


def _closed(text: str) -> str | None:
    """Return what stands in the last box, which may be empty; None where it is not closed."""
    _, command, tail = text.rpartition(r"\boxed")
    inside, depth = tail.lstrip(), 0
    if not command or not inside.startswith("{"):
        return None
    for index, character in enumerate(inside):
        depth += (character == "{") - (character == "}")
        if depth == 0:
            return inside[1:index].strip()
    return None

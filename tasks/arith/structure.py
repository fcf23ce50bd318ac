"""The structure of a problem: which sentences in which order, about whom and what; no numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Final, TypeVar

from .patterns import OPERATIONS, PATTERNS, Pattern
from .steps import Draw
from .words import FOOD, GOODS, NAMES, PLACES

T = TypeVar("T")

_SHORTEST, _LONGEST = 25, 70
"""Bounds on the words of a question; an aside lengthens a short one."""
_ASIDE_SHARE: Final = 0.05
_CHANGES: Final = ("add", "subtract", "multiply", "divide", "add_groups", "subtract_groups")
_COMPARES: Final = ("compare_more", "compare_fewer", "compare_times")
_SALES: Final = (("price", "question_sale"), ("price", "money_subtract", "question_rest"))


@dataclass(frozen=True)
class Structure:
    """The sentences of a problem.

    Attributes:
        patterns: one pattern per sentence.
        masked: the text of the question with `%d` in the place of every number.
        held_back: whether one of the patterns is held back.
    """

    patterns: tuple[Pattern, ...]
    masked: str
    held_back: bool


@dataclass(frozen=True)
class _Theme:
    """How problems of one sort begin, go on and end; `weight` is how often they are drawn."""

    weight: int
    world: str
    openings: tuple[str, ...]
    ends: tuple[tuple[str, ...], ...]


_HAS: Final = ("start", "start_groups", "start_sum", "start_left")
_THEMES: Final = (
    _Theme(4, "", _HAS, (("question",),)),
    _Theme(1, "", _HAS, tuple((kind, "question_other") for kind in _COMPARES)),
    _Theme(2, "", _HAS, tuple((kind, "question_together") for kind in _COMPARES)),
    _Theme(2, "", _HAS, _SALES),
    _Theme(2, "place_", ("place_start", "place_groups", "place_sum"), (("question_place",),)),
    _Theme(2, "money_", ("money_start", "money_groups", "money_sum"), (("question_money",),)),
)
_STEPS_OF: Final = {"": 0, "=": 0, "+nm": 2, "-nm": 2}
"""Steps an operation takes; those not named take one."""


@cache
def _plans(theme: _Theme, steps: int) -> tuple[tuple[str, ...], ...]:
    """List the sequences of kinds of a theme that take so many steps."""
    changes = [theme.world + change for change in _CHANGES]
    plans = []
    for length in range(steps + 1):
        middles = product(changes, repeat=length)
        for first, middle, end in product(theme.openings, middles, theme.ends):
            kinds = (first, *middle, *end)
            operations = [OPERATIONS[kind] for kind in kinds]
            if (
                sum(_STEPS_OF.get(operation, 1) for operation in operations) == steps
                and operations.count("*n") + operations.count("n*m") <= 2
                and operations.count("/n") <= 1
                and all(middle.count(kind) <= 2 for kind in middle)
            ):
                plans.append(kinds)
    return tuple(plans)


STEPS: Final = (2, 2, 2, 2, 2, 3, 3, 3, 4, 4)
"""Numbers of steps a problem may take, each as often as it weighs."""
PLANS: Final = tuple(
    tuple(plans for theme in _THEMES for plans in [_plans(theme, steps)] * theme.weight)
    for steps in STEPS
)
"""Sequences of kinds, by number of steps as in `STEPS` and theme, each as often as it weighs."""

_Sentence = tuple[Pattern, str]
_THINGS: Final = tuple([(thing, "food") for thing in FOOD] + [(thing, "goods") for thing in GOODS])
_POOLS: Final[dict[tuple[str, str, bool], tuple[_Sentence, ...]]] = {
    (kind, sort, held_back): tuple(
        (pattern, pattern.text.replace("{n}", "%d").replace("{m}", "%d"))
        for pattern in PATTERNS
        if pattern.kind == kind
        and pattern.needs in ("any", sort)
        and (held_back or not pattern.held_back)
    )
    for kind in OPERATIONS
    for sort in ("food", "goods")
    for held_back in (False, True)
}
"""Patterns and their masked texts by kind, sort of thing, and whether held-back ones are in."""


def draw_structure(draw: Draw, *, held_back: bool) -> Structure:
    """Draw the sentences and words of one problem.

    Args:
        draw: the source of randomness.
        held_back: whether at least one pattern is held back; otherwise none is.

    Returns:
        A structure of two to four steps and 25 to 70 words.
    """
    plan = _pick(draw, _pick(draw, _pick(draw, PLANS)))
    objects, sort = _pick(draw, _THINGS)
    while True:
        sentences: list[_Sentence] = []
        for kind in plan:
            pool = _POOLS[kind, sort, held_back]
            sentence = _pick(draw, pool)
            while sentence in sentences:
                sentence = _pick(draw, pool)
            sentences.append(sentence)
        if held_back == any(pattern.held_back for pattern, _ in sentences):
            break
    words = _draw_words(draw, objects)
    world = plan[0].split("_")[0]
    aside = f"{world}_aside" if world in ("place", "money") else "aside"
    asides = list(_POOLS[aside, sort, held_back])
    texts = [_render(text, words) for _, text in sentences]
    length = sum(text.count(" ") + 1 for text in texts)
    while length < _SHORTEST or (len(texts) == len(plan) and draw() < _ASIDE_SHARE):
        sentence = asides.pop(int(draw() * len(asides)))
        text = _render(sentence[1], words)
        length += text.count(" ") + 1
        texts.insert(1, text)
        sentences.insert(1, sentence)
    if length > _LONGEST:
        return draw_structure(draw, held_back=held_back)
    return Structure(tuple(pattern for pattern, _ in sentences), " ".join(texts), held_back)


def _draw_words(draw: Draw, objects: str) -> dict[str, str]:
    """Draw three different names and a place."""
    name = friend = other = _pick(draw, NAMES)
    while friend == name:
        friend = _pick(draw, NAMES)
    while other in (name, friend):
        other = _pick(draw, NAMES)
    at = _pick(draw, PLACES)
    return {"name": name, "friend": friend, "other": other, "objects": objects, "at": at}


def _render(text: str, words: dict[str, str]) -> str:
    sentence = text.format_map(words)
    return sentence[0].upper() + sentence[1:]


def _pick(draw: Draw, choices: Sequence[T]) -> T:
    return choices[int(draw() * len(choices))]

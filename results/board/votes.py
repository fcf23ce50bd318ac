"""How the candidates of one question voted, and why the vote failed where it did."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

from ...tasks import canonical, is_correct
from .logs import LoggedCandidate

_canonical = lru_cache(maxsize=1 << 16)(canonical)

OUTCOMES = {
    "right": "the majority is right",
    "outvoted": "a wrong answer had more votes than the right one",
    "tied": "a wrong answer had as many votes and came first",
    "never sampled": "no candidate has the right answer",
    "no answer": "no candidate has an answer",
}
"""What a vote can come to, with its sentence."""


@dataclass(frozen=True)
class Votes:
    """The vote over a question's candidates.

    Attributes:
        answers: that were given, as plain decimals, in the order in which they first appeared.
        counts: votes for each answer.
        right: whether each answer is right.
        of_candidate: the answer each candidate voted for, as a place in `answers`; -1 for none.
        winner: the place of the winning answer; None where nobody voted.
        outcome: of `OUTCOMES`.
    """

    answers: list[str]
    counts: list[int]
    right: list[bool]
    of_candidate: list[int]
    winner: int | None
    outcome: str

    @property
    def right_votes(self) -> int:
        """Candidates whose answer is right, a count."""
        return sum(count for count, right in zip(self.counts, self.right, strict=True) if right)


def count_votes(
    candidates: Sequence[LoggedCandidate], gold: str, *, tolerance: Decimal = Decimal(0)
) -> Votes:
    """Count the votes as `pool_metrics` does: numbers vote, the earliest of tied answers wins.

    Args:
        candidates: of one question, in the order in which they were sampled.
        gold: the right answer.
        tolerance: the largest difference from gold that counts as right.

    Returns:
        The vote.
    """
    places: dict[str, int] = {}
    counts: list[int] = []
    of_candidate = []
    for candidate in candidates:
        answer = _canonical(candidate.answer)
        if answer is None:
            of_candidate.append(-1)
            continue
        place = places.setdefault(answer, len(counts))
        if place == len(counts):
            counts.append(0)
        counts[place] += 1
        of_candidate.append(place)
    right = [_is_right(answer, gold, tolerance) for answer in places]
    winner = counts.index(max(counts)) if counts else None
    outcome = _outcome(counts, right, winner)
    return Votes(list(places), counts, right, of_candidate, winner, outcome)


def _is_right(answer: str, gold: str, tolerance: Decimal) -> bool:
    if answer == _canonical(gold):
        return True
    return bool(tolerance) and is_correct(answer, gold, tolerance=tolerance)


def _outcome(counts: list[int], right: list[bool], winner: int | None) -> str:
    if winner is None:
        return "no answer"
    if right[winner]:
        return "right"
    best = max((n for n, is_right in zip(counts, right, strict=True) if is_right), default=0)
    if not best:
        return "never sampled"
    return "tied" if best == counts[winner] else "outvoted"

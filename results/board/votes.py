"""How the candidates of one question voted, and why the vote failed where it did."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import cast

from ...tasks import Pool, aggregate, canonical, is_correct
from ...tasks.reward_estimators import vote_weights, weighted_winner
from .logs import LoggedCandidate, LoggedQuestion

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


def judge(answer: str | None, gold: str, *, tolerance: Decimal = Decimal(0)) -> bool | None:
    """Tell whether an answer is right; None where it is no number."""
    plain = _canonical(answer)
    return None if plain is None else _is_right(plain, gold, tolerance)


def weigh_votes(question: LoggedQuestion, votes: Votes) -> list[float]:
    """Return what the votes for each answer weigh together, the heaviest single vote being 1.

    Args:
        question: its candidates.
        votes: over them.

    Returns:
        A sum of `vote_weights` for each of the answers.
    """
    sums = [0.0] * len(votes.answers)
    weights = vote_weights([candidate.reward for candidate in question.candidates])
    for place, weight in zip(votes.of_candidate, weights.tolist(), strict=True):
        if place >= 0:
            sums[place] += weight
    return sums


def choices(question: LoggedQuestion, votes: Votes) -> dict[str, tuple[int, int | None]]:
    """Return what each aggregation chose, by the names that the leaderboard's rows have.

    Args:
        question: its candidates and beams.
        votes: over the candidates.

    Returns:
        Aggregation -> the place of its candidate, beams coming after all candidates, and the place
        of its answer; -1 for no number, None where only a beam has that answer. An aggregation
        that chose nothing is not in it.
    """
    found: dict[str, tuple[int, int | None]] = {}
    if votes.winner is not None:
        found["majority"] = (votes.of_candidate.index(votes.winner), votes.winner)
    rewards = [candidate.reward for candidate in question.candidates]
    # What chooses reads candidates, beams, answers and rewards alone, which a logged question has.
    pool = cast(Pool, question)
    if any(reward is not None for reward in rewards):
        best = cast(LoggedCandidate | None, aggregate(pool, "best_of_n"))
        if best is not None:
            place = next(i for i, own in enumerate(question.candidates) if own is best)
            found["best_of_n"] = (place, votes.of_candidate[place])
        # As the metric does and `aggregate` does not: only numbers vote.
        given = [str(place) if place >= 0 else None for place in votes.of_candidate]
        heaviest = weighted_winner(given, vote_weights(rewards))
        if heaviest is not None:
            found["weighted_voting"] = (given.index(heaviest), int(heaviest))
    if question.beams:
        plain = _canonical(aggregate(pool, "beam_search").answer)  # type: ignore[union-attr]
        known = votes.answers.index(plain) if plain in votes.answers else None
        found["beam_search"] = (len(rewards), -1 if plain is None else known)
    return found


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

"""How the candidates of one question voted, and why the vote failed where it did."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from ....tasks import (
    STRATEGIES,
    Candidate,
    Pool,
    find_judge,
    vote_weights,
)

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
        answers: what was voted for, by the pool's judge, in the order in which they first appeared.
        counts: votes for each answer.
        right: whether each answer is right.
        of_candidate: the answer each candidate voted for, an index into `answers`; -1 for none.
        winner: the index of the winning answer; None where nobody voted.
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
        """How many candidates have a right answer."""
        return sum(count for count, right in zip(self.counts, self.right, strict=True) if right)


def count_votes(pool: Pool, gold: str, *, tolerance: Decimal = Decimal(0)) -> Votes:
    """Count the votes; the earliest of tied answers wins."""
    judge, keys = find_judge(pool.judge), pool.keys
    index_of: dict[str, int] = {}
    counts: list[int] = []
    of_candidate = []
    for key in keys:
        index = -1 if key is None else index_of.setdefault(key, len(counts))
        if index == len(counts):
            counts.append(0)
        if index >= 0:
            counts[index] += 1
        of_candidate.append(index)
    right = [judge.is_right(answer, gold, tolerance=tolerance) for answer in index_of]
    winner = counts.index(max(counts)) if counts else None
    outcome = _outcome(counts, right, winner)
    return Votes(list(index_of), counts, right, of_candidate, winner, outcome)


def weigh_votes(candidates: Sequence[Candidate], votes: Votes) -> list[float]:
    """Return what the votes for each answer weigh together, the heaviest single vote being 1."""
    sums = [0.0] * len(votes.answers)
    weights = vote_weights([candidate.reward for candidate in candidates])
    for index, weight in zip(votes.of_candidate, weights.tolist(), strict=True):
        if index >= 0:
            sums[index] += weight
    return sums


def choices(pool: Pool, votes: Votes) -> dict[str, tuple[int, int | None]]:
    """Return what every strategy chose that the pool has enough for.

    Args:
        pool: the candidates and beams of a question.
        votes: over the candidates.

    Returns:
        Strategy -> the index of its candidate, beams coming after all candidates, and the index
        of its answer; -1 for no vote, None where only a beam has that answer. A strategy that
        chose nothing is not in it, and neither is a single sample, which is no choice.
    """
    both = [*pool.candidates, *pool.beams]
    found: dict[str, tuple[int, int | None]] = {}
    for name, strategy in STRATEGIES.items():
        if not (strategy.has_k or strategy.needs) or not strategy.fits(pool):
            continue
        chosen = strategy.choose(pool)
        index = next((i for i, one in enumerate(both) if one is chosen), None)
        if index is None:
            continue
        if index < len(pool.candidates):
            found[name] = index, votes.of_candidate[index]
        else:
            key = find_judge(pool.judge).key(both[index].answer)
            known = votes.answers.index(key) if key in votes.answers else None
            found[name] = index, -1 if key is None else known
    return found


def _outcome(counts: list[int], right: list[bool], winner: int | None) -> str:
    if winner is None:
        return "no answer"
    if right[winner]:
        return "right"
    best = max((n for n, is_right in zip(counts, right, strict=True) if is_right), default=0)
    if not best:
        return "never sampled"
    return "tied" if best == counts[winner] else "outvoted"

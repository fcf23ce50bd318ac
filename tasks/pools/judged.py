"""A pool held against the gold answer."""

from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property

from ..judges import find_judge
from .pool import Candidate, Pool


@dataclass(frozen=True)
class JudgedPool:
    """What every estimate is computed from.

    Attributes:
        pool: the N candidates and the beams.
        gold: the right answer.
        tolerance: the largest difference from gold, see `is_correct`, that counts as right.
        keys: what each candidate votes for, by the pool's judge.
        right: the keys that are right; a tolerance may make several so.
    """

    pool: Pool
    gold: str
    tolerance: Decimal
    keys: tuple[str | None, ...]
    right: frozenset[str]

    @cached_property
    def correct(self) -> tuple[bool, ...]:
        """Whether each candidate is right."""
        return tuple(key in self.right for key in self.keys)

    @cached_property
    def rewards(self) -> tuple[float | None, ...]:
        """Each candidate's reward; None where it was not scored, NaN where that gave no number."""
        return tuple(candidate.reward for candidate in self.pool.candidates)

    def is_right(self, candidate: Candidate | None) -> bool:
        """Tell whether a candidate or a beam is right; None, where none was chosen, is not."""
        answer = None if candidate is None else candidate.answer
        judge = find_judge(self.pool.judge)
        return judge.is_right(answer, self.gold, tolerance=self.tolerance)


def judge_pool(pool: Pool, gold: str, *, tolerance: Decimal = Decimal(0)) -> JudgedPool:
    """Hold each answer of a pool against the gold answer.

    Args:
        pool: the candidates.
        gold: the right answer; where its judge cannot read it, every answer is wrong.
        tolerance: the largest difference from gold, see `is_correct`, that counts as right.

    Returns:
        The pool with what each candidate votes for and whether that is right.
    """
    judge, keys = find_judge(pool.judge), pool.keys
    given = {key for key in keys if key is not None}
    right = frozenset(key for key in given if judge.is_right(key, gold, tolerance=tolerance))
    return JudgedPool(pool, gold, tolerance, keys, right)

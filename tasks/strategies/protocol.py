"""What a strategy is: how the N candidates of a question become one answer."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from ..errors import TaskError
from ..judges import find_judge
from ..pools.estimators import check_ks, subsets
from ..pools.judged import JudgedPool
from ..pools.pool import Candidate, Pool

_LACKS = {
    "rewards": "no candidate of the pool has a reward, which {name} needs. Sample with "
    "reward_model=, or choose voting or first.",
    "answers": "of the candidates only the outcomes are known, right or wrong, and not the answers "
    "that {name} counts.",
    "beams": "the pool holds no beams, so {name} cannot choose one. Sample with num_beams and "
    "num_beam_candidates, or choose another aggregation.",
}


class Strategy(ABC):
    """A way to choose, and an estimate of how often that is right among k candidates.

    A strategy is stateless. A subclass gives `name`, `title` and `choose`; `at_k` too where there
    is a formula that is quicker than choosing from many subsets.

    Attributes:
        name: what users choose it by, and its metric's name before `@k`.
        title: heading of its column in reports.
        aliases: other names that users may give.
        needs: what the pool must hold: "rewards", "beams", both or nothing.
        needs_answers: whether it looks at answers; where outcomes alone are known, it has none.
        has_k: whether it is estimated for each k; else it has one value, under `name` alone.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    aliases: ClassVar[tuple[str, ...]] = ()
    needs: ClassVar[frozenset[str]] = frozenset()
    needs_answers: ClassVar[bool] = True
    has_k: ClassVar[bool] = True

    @abstractmethod
    def choose(self, pool: Pool) -> Candidate | None:
        """Return the chosen one of a pool that holds what is needed; None where none can be."""

    def pick(self, pool: Pool) -> Candidate | None:
        """Return the chosen candidate or beam, or None where none can be chosen.

        Raises:
            TaskError: the pool lacks what the strategy needs.
        """
        if lacking := self.missing(pool):
            raise TaskError(lacking)
        return self.choose(pool)

    def at_k(self, judged: JudgedPool, ks: Sequence[int]) -> dict[int, float]:
        """Return the probability that the choice among k random candidates is right, for each k.

        The mean over all subsets of k candidates, kept in order, or over `MAX_SUBSETS` random ones.
        A strategy without k has its one value at N.

        Args:
            judged: a pool that holds what is needed.
            ks: subset sizes.

        Returns:
            k -> probability.

        Raises:
            TaskError: not 1 <= k <= N for some k.
        """
        candidates = judged.pool.candidates
        check_ks(ks, n=len(candidates))

        def share(k: int) -> float:
            chosen = subsets(len(candidates), k)
            pools = (
                Pool(tuple(candidates[i] for i in np.flatnonzero(row)), judge=judged.pool.judge)
                for row in chosen
            )
            return sum(judged.is_right(self.choose(pool)) for pool in pools) / len(chosen)

        return {k: share(k) for k in (ks if self.has_k else [len(candidates)])}

    def metric(self, k: int) -> str:
        """Return the name under which the value at k is reported."""
        return f"{self.name}@{k}" if self.has_k else self.name

    def missing(self, pool: Pool) -> str | None:
        """Return a sentence about what the pool lacks and what to do, or None."""
        has = {
            "rewards": any(candidate.reward is not None for candidate in pool.candidates),
            "beams": bool(pool.beams),
        }
        lacking = sorted(need for need in self.needs if not has[need])
        if self.needs_answers and not find_judge(pool.judge).knows_answers:
            lacking = ["answers"]
        return _LACKS[lacking[0]].format(name=self.name) if lacking else None

    def fits(self, pool: Pool) -> bool:
        """Tell whether the pool holds what is needed."""
        return self.missing(pool) is None


def is_number(reward: float | None) -> bool:
    """Tell whether a candidate has a reward that is a number."""
    return reward is not None and math.isfinite(reward)

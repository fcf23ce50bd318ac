"""No choice at all: one candidate."""

from collections.abc import Sequence

from ..pools.estimators import pass_at_k
from ..pools.judged import JudgedPool
from ..pools.pool import Candidate, Pool
from .protocol import Strategy


class First(Strategy):
    """The candidate that was sampled first, whatever it says.

    How many others there are makes no difference, so that its one value is pass@1.
    """

    name = "first"
    title = "first"
    has_k = False
    needs_answers = False

    def choose(self, pool: Pool) -> Candidate:
        """Return the first candidate."""
        return pool.candidates[0]

    def at_k(self, judged: JudgedPool, ks: Sequence[int]) -> dict[int, float]:
        """Return the share of right candidates, where k = 1 is asked for."""
        n, c = len(judged.keys), sum(judged.correct)
        return {1: pass_at_k(n=n, c=c, k=1)} if 1 in ks else {}

    def metric(self, k: int) -> str:
        """Return `pass@1`."""
        return "pass@1"

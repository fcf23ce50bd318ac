"""Beam search over thoughts: the best beam, found beside the candidates."""

from collections.abc import Sequence

from ..pools.judged import JudgedPool
from ..pools.pool import Candidate, Pool
from .protocol import Strategy, is_number


class BeamSearch(Strategy):
    """The beam of the highest cumulative reward, which is the first one.

    Beams depend on each other, so that there is no estimate over subsets of them.
    """

    name = "beam_search"
    title = "beam search"
    needs = frozenset({"beams"})
    has_k = False
    needs_answers = False

    def choose(self, pool: Pool) -> Candidate | None:
        """Return the first beam, or None where its reward is NaN."""
        return pool.beams[0] if is_number(pool.beams[0].reward) else None

    def at_k(self, judged: JudgedPool, ks: Sequence[int]) -> dict[int, float]:
        """Return whether the best beam is right, at N."""
        return {len(judged.keys): float(judged.is_right(self.choose(judged.pool)))}

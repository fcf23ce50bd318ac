"""Names of before the table of strategies, until nobody uses them any more."""

from .answers import canonical
from .pools.pool import Candidate, Pool
from .strategies import find_strategy

NEEDS_REWARDS = frozenset({"best_of_n", "weighted", "weighted_voting", "beam_search"})


def aggregate(pool: Pool, how: str) -> Candidate | None:
    """Return what a strategy picks."""
    return find_strategy(how).pick(pool)


def check_strategy(how: str) -> None:
    """Refuse a name that no strategy has."""
    find_strategy(how)


def vote_key(answer: str | None) -> str | None:
    """Return what an answer counts as alone."""
    return canonical(answer) or (answer or "").strip() or None

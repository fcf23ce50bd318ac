"""How the N candidates of a question become one."""

import difflib
from collections import Counter
from collections.abc import Callable

from .answers import vote_key
from .errors import TaskError
from .pool import Candidate, Pool


def first(pool: Pool) -> Candidate:
    """Returns the candidate that was sampled first, whatever it says.

    Args:
        pool: The candidates.

    Returns:
        The first of them.
    """
    return pool.candidates[0]


def majority(pool: Pool) -> Candidate | None:
    """Returns the earliest candidate of the most frequent answer.

    Answers vote by `vote_key`: equal numbers are one answer, other answers vote by their text, a
    missing answer never votes. Tied answers: the one that was given first wins.

    Args:
        pool: The candidates.

    Returns:
        The winner, or None where no candidate has an answer.
    """
    keys = [vote_key(candidate.answer) for candidate in pool.candidates]
    votes = Counter(key for key in keys if key is not None)
    if not votes:
        return None
    # A Counter iterates in order of first appearance and max keeps the first: the tie rule.
    winner = max(votes, key=votes.__getitem__)
    return pool.candidates[keys.index(winner)]


STRATEGIES: dict[str, Callable[[Pool], Candidate | None]] = {
    "first": first,
    "majority": majority,
}
"""Every way to aggregate, by the name that users give."""


def aggregate(pool: Pool, how: str) -> Candidate | None:
    """Reduces a pool to one candidate.

    Args:
        pool: The candidates.
        how: A name in `STRATEGIES`.

    Returns:
        The chosen candidate, or None where no candidate can be chosen.

    Raises:
        TaskError: There is no strategy of that name.
    """
    check_strategy(how)
    return STRATEGIES[how](pool)


def check_strategy(how: str) -> None:
    """Refuses a name that is not in `STRATEGIES`.

    Raises:
        TaskError: There is no strategy of that name.
    """
    if how not in STRATEGIES:
        near = difflib.get_close_matches(str(how), STRATEGIES, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise TaskError(
            f"no aggregation is called {how!r}; there are {', '.join(STRATEGIES)}.{hint}"
        )

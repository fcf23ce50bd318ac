"""How the N candidates of a question become one."""

import difflib
from collections import Counter
from collections.abc import Callable

from .answers import vote_key
from .errors import TaskError
from .pool import Candidate, Pool
from .reward_estimators import scored, vote_weights, weighted_winner


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


def best_of_n(pool: Pool) -> Candidate | None:
    """Returns the candidate of the highest reward, the earliest of equal ones.

    Args:
        pool: The candidates, scored.

    Returns:
        The winner, or None where every reward is NaN.

    Raises:
        TaskError: No candidate was scored.
    """
    rewards = _rewards(pool, "best_of_n")
    places = [place for place, good in enumerate(scored(rewards)) if good]
    if not places:
        return None
    return pool.candidates[max(places, key=lambda place: rewards[place] or 0.0)]


def weighted(pool: Pool) -> Candidate | None:
    """Returns the earliest candidate of the answer whose votes weigh most, see `vote_weights`.

    Args:
        pool: The candidates, scored.

    Returns:
        The winner, or None where no candidate has both an answer and a reward.

    Raises:
        TaskError: No candidate was scored.
    """
    weights = vote_weights(_rewards(pool, "weighted"))
    keys = [vote_key(candidate.answer) for candidate in pool.candidates]
    winner = weighted_winner(keys, weights)
    return None if winner is None else pool.candidates[keys.index(winner)]


def beam_search(pool: Pool) -> Candidate | None:
    """Returns the best beam.

    Args:
        pool: The candidates and the beams.

    Returns:
        The first beam, or None where its reward is NaN.

    Raises:
        TaskError: No beam search was done.
    """
    if not pool.beams:
        raise TaskError(
            "the pool holds no beams, so beam_search cannot choose one. Sample with num_beams and "
            "num_beam_candidates, or choose another aggregation."
        )
    best = pool.beams[0]
    return best if scored([best.reward])[0] else None


def _rewards(pool: Pool, how: str) -> list[float | None]:
    rewards = [candidate.reward for candidate in pool.candidates]
    if all(reward is None for reward in rewards):
        raise TaskError(
            f"no candidate of the pool has a reward, which {how} needs. Sample with reward_model=, "
            "or choose majority or first."
        )
    return rewards


STRATEGIES: dict[str, Callable[[Pool], Candidate | None]] = {
    "first": first,
    "majority": majority,
    "best_of_n": best_of_n,
    "weighted": weighted,
    "beam_search": beam_search,
}
"""Every way to aggregate, by the name that users give."""

NEEDS_REWARDS = frozenset({"best_of_n", "weighted", "beam_search"})
"""Those that a reward model must have scored the candidates for."""


def aggregate(pool: Pool, how: str) -> Candidate | None:
    """Reduces a pool to one candidate.

    Args:
        pool: The candidates.
        how: A name in `STRATEGIES`.

    Returns:
        The chosen candidate, or None where no candidate can be chosen.

    Raises:
        TaskError: There is no strategy of that name, or the pool lacks the rewards it needs.
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

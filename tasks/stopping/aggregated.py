"""The posterior that the leading answer is the most probable one, from its count and the second's.

A question's answers have probabilities of a known shape, in descending order; which answer has
which rank is not known. Of the samples three counts are looked at: the leading answer's, the
second one's and that of all others together, of which none was given more often than the second
(arXiv 2602.05395, the L-aggregated posterior for L = 3, which the paper shows to be enough).
"""

import numpy as np
from numpy.typing import NDArray
from scipy import special

Floats = NDArray[np.float64]


class Posterior:
    """Posteriors under some shapes, equally probable before; each is computed once.

    Args:
        shapes: f64[S, K], in each row probabilities in descending order that sum to 1.
    """

    def __init__(self, shapes: Floats) -> None:
        self._shapes = shapes
        self._known: dict[tuple[int, int, int], float] = {}

    def of(self, first: int, second: int, total: int) -> float:
        """Return the probability that the leading answer is the mode.

        Args:
            first: votes for the leading answer.
            second: votes for the next one, 0 where there is none.
            total: all votes.

        Returns:
            A probability; 0 where there are no votes, or where no shape allows these.
        """
        told = first, second, total
        if told not in self._known:
            self._known[told] = leader_is_mode(self._shapes, *told) if first else 0.0
        return self._known[told]


def leader_is_mode(shapes: Floats, first: int, second: int, total: int) -> float:
    """Compute what `Posterior.of` returns.

    The likelihood is a sum over all ways to give the answers ranks, and over all counts of the
    others that are no higher than the second's. Given their sum, counts are as independent Poisson
    variables with the means total * p would be; so it is the coefficient of a product with a
    factor for each rank, in which the powers of x are votes and those of y ties with the second.
    Which of tied answers is looked at is a matter of chance, so each of m ties counts
    1 / C(m + own, own), where own is how many of the two answers have that count.
    """
    if second == 0:  # one answer was given: only its rank is not known
        same = shapes**first
        found = float(same.sum())
        return float(same[:, 0].sum()) / found if found else 0.0
    votes = np.arange(first + 1)
    means = total * shapes[..., None]
    table = np.exp(special.xlogy(votes, means) - means - special.gammaln(votes + 1.0))
    rest = total - first - second
    weights = _tie_weights(rest // second, own=2 if first == second else 1)
    # What has a rank already: nobody, the leader, the second, both; and the same two of the four
    # again where the leader has the first rank.
    state = np.zeros((6, len(shapes), len(weights), rest + 1))
    state[0, :, 0, 0] = 1.0
    for rank in range(shapes.shape[1]):
        state = _next_rank(state, table[:, rank], first, second, leads=4 if rank == 0 else 1)
    led, not_led = (float((state[one, :, :, rest] @ weights).sum()) for one in (5, 3))
    return led / (led + not_led) if led > 0 else 0.0


def _next_rank(state: Floats, pmf: Floats, first: int, second: int, *, leads: int) -> Floats:
    """Give a rank to the leading answer, the second one, or another one with no more votes.

    Args:
        state: f64[6, S, ties, votes].
        pmf: f64[S, votes], of the answer of this rank.
        first: votes for the leading answer.
        second: votes for the second one.
        leads: index of the state in which only the leader has a rank, this one.
    """
    size = state.shape[3]
    fewer = np.zeros((len(pmf), 2 * size - 1))
    fewer[:, size - 1 : size - 1 + second] = pmf[:, : min(second, size)]
    steps = np.arange(size)
    moves = fewer[:, steps[None, :] - steps[:, None] + size - 1]  # f64[S, votes, votes after]
    after = np.matmul(state, moves)
    if second < size:
        tied = state[:, :, :-1, : size - second] * pmf[:, second, None, None]
        after[:, :, 1:, second:] += tied
    for before, count, then in (
        (0, first, leads),
        (0, second, 2),
        (1, second, 3),
        (2, first, 3),
        (4, second, 5),
    ):
        after[then] += state[before] * pmf[:, count, None, None]
    return after


def _tie_weights(ties: int, *, own: int) -> Floats:
    """Return 1 / C(m + own, own) for m = 0, …, ties."""
    return 1.0 / special.comb(np.arange(ties + 1) + own, own)

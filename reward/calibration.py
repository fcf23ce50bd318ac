"""How far apart rewards should lie: one number, fitted on pools that were not learned from."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, logsumexp

# exp(reward) may weigh votes between almost equally and almost all on the best.
LEAST, MOST = 0.01, 100.0


def reward_scale(scores: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    """Return the factor on scores under which exp(score) weighs votes best.

    Best-of-N and beam search do not change with it. A weighted vote does: its share of right
    votes is p = sum_right softmax_n(a * score_n), and the factor a maximises the mean of log p
    over the pools that are neither all right nor all wrong (temperature scaling, arXiv 1706.04599,
    of a pool's softmax).

    Args:
        scores: of every trajectory, f64[Q, N]; not finite for those without.
        right: whether each trajectory's answer is right, bool[Q, N].

    Returns:
        A factor between `LEAST` and `MOST`; 1 where no pool tells.
    """
    there = np.isfinite(scores)
    scores, right = np.where(there, scores, -np.inf), right & there
    mixed = right.any(axis=1) & (there & ~right).any(axis=1)
    if not mixed.any():
        return 1.0
    scores, right = scores[mixed], right[mixed]

    def loss(log_factor: float) -> float:
        share = log_softmax(np.exp(log_factor) * scores, axis=1)
        return -float(logsumexp(np.where(right, share, -np.inf), axis=1).mean())

    found = minimize_scalar(loss, bounds=(np.log(LEAST), np.log(MOST)), method="bounded")
    return float(np.exp(found.x))

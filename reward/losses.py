"""What a reward model is trained to do (arXiv 2510.07745, section 4)."""

from collections.abc import Callable

import torch
from torch.nn import functional


def contrastive(rewards: torch.Tensor, labels: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Return the step-level contrastive loss, the mean over questions.

    -sum_t sum_n y_t^(n) log softmax_n(r_t^(n)), where at step t the softmax runs over those of a
    question's N trajectories that have a thought t.

    Args:
        rewards: f[B, N, T], r_t.
        labels: f[B, N, T], y_t in [0, 1].
        lengths: i64[B, N], thoughts of each trajectory; what stands beyond them is not looked at.

    Returns:
        f[], in nats.
    """
    there = _there(rewards, lengths)
    # The most negative number rather than infinity, whose softmax over nothing would be NaN.
    logits = rewards.masked_fill(~there, torch.finfo(rewards.dtype).min)
    log_share = logits.log_softmax(dim=1).masked_fill(~there, 0.0)
    return -(labels.masked_fill(~there, 0.0) * log_share).sum() / len(rewards)


def bce(rewards: torch.Tensor, labels: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Return the binary cross-entropy of sigmoid(r_t) against y_t, the mean over thoughts.

    -(y_t log sigmoid(r_t) + (1 - y_t) log(1 - sigmoid(r_t))): the paper's ablation, in which a
    thought is not compared with those of the other trajectories.

    Args:
        rewards: f[B, N, T], r_t.
        labels: f[B, N, T], y_t in [0, 1].
        lengths: i64[B, N], thoughts of each trajectory; what stands beyond them is not looked at.

    Returns:
        f[], in nats; zero where there is no thought.
    """
    there = _there(rewards, lengths)
    rewards, labels = rewards[there], labels[there]
    total = functional.binary_cross_entropy_with_logits(rewards, labels, reduction="sum")
    return total / max(1, rewards.numel())


Loss = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
LOSSES: dict[str, Loss] = {"contrastive": contrastive, "bce": bce}
"""Every loss, by the name that users give."""


def _there(rewards: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    steps = torch.arange(rewards.shape[-1], device=rewards.device)
    return steps < lengths.unsqueeze(-1)

"""LatentRM: scores for thoughts."""

from .auto import LatentRewardModel
from .errors import RewardError

__all__ = ["LatentRewardModel", "RewardError"]

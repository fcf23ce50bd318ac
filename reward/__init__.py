"""LatentRM: scores for thoughts."""

from .errors import RewardError
from .model import LatentRewardModel

__all__ = ["LatentRewardModel", "RewardError"]

"""LatentRM: scores for thoughts, and beam search that they guide."""

from .auto import LatentRewardModel
from .beam_search import Beam, beam_search
from .errors import RewardError

__all__ = ["Beam", "LatentRewardModel", "RewardError", "beam_search"]

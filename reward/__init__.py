"""LatentRM: scores for thoughts, and beam search that they guide."""

from .auto import LatentRewardModel
from .beams import Beam, beam_search
from .errors import RewardError

__all__ = ["Beam", "LatentRewardModel", "RewardError", "beam_search"]

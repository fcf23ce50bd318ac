"""LatentRM: scores for thoughts, and beam search that they guide."""

from .auto import LatentRewardModel
from .beams import BeamSearchOutput, beam_search
from .errors import RewardError

__all__ = ["BeamSearchOutput", "LatentRewardModel", "RewardError", "beam_search"]

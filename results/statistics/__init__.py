"""Statistics of paired numbers: arrays in, one number a question, and frozen results out."""

from .drop import drop_p_value, holm
from .noise import NoiseFloor, noise_floor
from .paired import McNemar, PairedDifference, mcnemar, paired_difference
from .score import Interval, mean_interval, score_interval

__all__ = [
    "Interval",
    "McNemar",
    "NoiseFloor",
    "PairedDifference",
    "drop_p_value",
    "holm",
    "mcnemar",
    "mean_interval",
    "noise_floor",
    "paired_difference",
    "score_interval",
]

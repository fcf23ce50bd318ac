"""Records of runs and what is made of them: tables, comparisons, gates and pictures."""

from .curves import curve_table, draw_curves
from .errors import ResultsError
from .falls import fall_p_value
from .paired import (
    McNemar,
    NoiseFloor,
    PairedDifference,
    mcnemar,
    noise_floor,
    paired_difference,
)
from .records import Estimate, Problem, Run, RunConfig, collect
from .samples import QuestionMetrics, RunSamples, find_samples, read_metrics, read_samples

__all__ = [
    "Estimate",
    "McNemar",
    "NoiseFloor",
    "PairedDifference",
    "Problem",
    "QuestionMetrics",
    "ResultsError",
    "Run",
    "RunConfig",
    "RunSamples",
    "collect",
    "curve_table",
    "draw_curves",
    "fall_p_value",
    "find_samples",
    "mcnemar",
    "noise_floor",
    "paired_difference",
    "read_metrics",
    "read_samples",
]

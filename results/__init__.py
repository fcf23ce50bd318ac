"""Records of runs and what is made of them: tables and pictures."""

from .curves import curve_table, draw_curves
from .samples import RunSamples, find_samples, read_samples

__all__ = ["RunSamples", "curve_table", "draw_curves", "find_samples", "read_samples"]

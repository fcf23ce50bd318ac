"""The benchmark: what the engine gains over plain transformers, and how near it is to the bound."""

from .ways import explicit, straightforward
from .work import SAMPLERS, Work, needed

__all__ = ["SAMPLERS", "Work", "explicit", "needed", "straightforward"]

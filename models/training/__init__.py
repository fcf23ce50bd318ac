"""How the models are trained: one trainer, and one file for each objective."""

from .adapters import Lora
from .course import Course, Example, Turn
from .objectives import OBJECTIVES, Objective
from .plan import Plan
from .training import Trained, train

__all__ = [
    "OBJECTIVES",
    "Course",
    "Example",
    "Lora",
    "Objective",
    "Plan",
    "Trained",
    "Turn",
    "train",
]

"""Training text: equations of worked solutions, variants with other numbers, no test questions."""

from .contamination import TestQuestions, normalised, refuse_test_questions, shipped_tests
from .equations import Equation, find_equations, read_equation
from .prepare import Dropped, Prepared, Source, prepare
from .search import search_steps
from .vary import vary

__all__ = [
    "Dropped",
    "Equation",
    "Prepared",
    "Source",
    "TestQuestions",
    "find_equations",
    "normalised",
    "prepare",
    "read_equation",
    "refuse_test_questions",
    "search_steps",
    "shipped_tests",
    "vary",
]

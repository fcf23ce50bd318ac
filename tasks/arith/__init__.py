"""Arithmetic word problems of two to four steps, written and worked by this project."""

from .problems import Problem, Split, generate

__all__ = ["Problem", "Split", "generate"]

"""The leaderboard: a table of runs, its web page, a page for each run, and pictures."""

from .build import Board, build_board
from .rows import board_rows

__all__ = ["Board", "board_rows", "build_board"]

"""Runs on disk: from folders that lm-eval wrote to records, question by question."""

from .align import QuestionTable, Side, build_sides, judge
from .collect import collect, runs_by_task
from .log import LoggedQuestion, read_log
from .pair import Pairing, pair_runs
from .record import Estimate, Problem, Run, RunConfig

__all__ = [
    "Estimate",
    "LoggedQuestion",
    "Pairing",
    "Problem",
    "QuestionTable",
    "Run",
    "RunConfig",
    "Side",
    "build_sides",
    "collect",
    "judge",
    "pair_runs",
    "read_log",
    "runs_by_task",
]

"""Records of runs and what is made of them: tables, comparisons, gates and charts."""

from .errors import ResultsError
from .frames import candidates, runs
from .reports.curve import curve_table
from .runs import (
    Estimate,
    LoggedQuestion,
    Problem,
    QuestionTable,
    Run,
    RunConfig,
    collect,
    judge,
    read_log,
)
from .statistics import (
    Interval,
    McNemar,
    NoiseFloor,
    PairedDifference,
    drop_p_value,
    mcnemar,
    noise_floor,
    paired_difference,
    score_interval,
)

__all__ = [
    "Estimate",
    "Interval",
    "LoggedQuestion",
    "McNemar",
    "NoiseFloor",
    "PairedDifference",
    "Problem",
    "QuestionTable",
    "ResultsError",
    "Run",
    "RunConfig",
    "candidates",
    "collect",
    "curve_table",
    "drop_p_value",
    "judge",
    "mcnemar",
    "noise_floor",
    "paired_difference",
    "read_log",
    "runs",
    "score_interval",
]

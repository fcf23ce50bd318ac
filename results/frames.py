"""Runs and their candidates as pandas tables."""

import warnings
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from ..tasks import find_judge, read_tolerance
from .errors import ResultsError
from .runs import Run, collect, read_log

_UNKNOWN = float("nan")


def runs(folder: str | Path) -> pd.DataFrame:
    """Return the runs under a folder, as the leaderboard has them.

    Args:
        folder: an --output_path folder, or a folder of such folders.

    Returns:
        A row for each run, task, strategy and number of samples; see `board_rows`.

    Raises:
        ResultsError: there is no such folder, or no run in it.
    """
    from .reports.board import board_rows  # the board's templates are not needed for the rest

    return board_rows(_collect(Path(folder)))


def candidates(folder: str | Path) -> pd.DataFrame:
    """Return every candidate of the runs under a folder.

    Args:
        folder: an --output_path folder, or a folder of such folders.

    Returns:
        A row for each candidate: run, task, question, gold, index, text, answer, right, thoughts,
        answer_tokens, truncated and reward. A number that is not known is NaN, as all of the last
        four are of other models' texts.

    Raises:
        ResultsError: there is no such folder, no run in it, or a log cannot be read.
    """
    return pd.DataFrame(_candidates(Path(folder)))


def _collect(folder: Path) -> list[Run]:
    """Return the runs under a folder, with a warning for each that is left out."""
    found, problems = collect([folder])
    if not found:
        raise ResultsError(f"{str(folder)!r} holds no run: {'; '.join(map(str, problems))}")
    for problem in problems:
        warnings.warn(str(problem), stacklevel=3)
    return found


def _candidates(folder: Path) -> Iterator[dict[str, object]]:
    for run in _collect(folder):
        tolerance, judge = read_tolerance(run.tolerance), find_judge(run.judge)
        for logged in read_log(run):
            question = logged.question
            for index, one in enumerate(logged.pool().candidates):
                yield {
                    "run": run.name,
                    "task": run.task,
                    "question": question.id,
                    "gold": question.gold,
                    "index": index,
                    "text": one.text,
                    "answer": one.answer,
                    "right": judge.is_right(one.answer, question.gold, tolerance=tolerance),
                    "thoughts": _UNKNOWN if run.plain_text else one.thoughts,
                    "answer_tokens": _UNKNOWN if run.plain_text else one.answer_tokens,
                    "truncated": _UNKNOWN if run.plain_text else one.truncated,
                    "reward": _UNKNOWN if one.reward is None else one.reward,
                }

"""Runs and their candidates as pandas tables."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from ..tasks import is_correct, read_tolerance
from .errors import ResultsError
from .runs import collect, read_log


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

    found, problems = collect([Path(folder)])
    if not found:
        raise ResultsError(f"{str(folder)!r} holds no run: {'; '.join(map(str, problems))}")
    return board_rows(found)


def candidates(folder: str | Path) -> pd.DataFrame:
    """Return every candidate of the runs under a folder.

    Args:
        folder: an --output_path folder, or a folder of such folders.

    Returns:
        A row for each candidate: run, task, question, gold, index, text, answer, right, thoughts,
        answer_tokens, truncated and reward, which is NaN where it is not known.

    Raises:
        ResultsError: there is no such folder, or a log cannot be read.
    """
    return pd.DataFrame(_candidates(Path(folder)))


def _candidates(folder: Path) -> Iterator[dict[str, object]]:
    for run in collect([folder])[0]:
        tolerance = read_tolerance(run.tolerance)
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
                    "right": is_correct(one.answer, question.gold, tolerance=tolerance),
                    "thoughts": one.thoughts,
                    "answer_tokens": one.answer_tokens,
                    "truncated": one.truncated,
                    "reward": float("nan") if one.reward is None else one.reward,
                }

"""A run's questions with their pools, as exports take them."""

from ..foreign.line import COUNTED, PoolLine
from ..runs import Run, read_log


def lines_of(run: Run, first: int | None = None) -> list[PoolLine]:
    """Return the questions of a run with their pools.

    Args:
        run: whose log is read.
        first: how many candidates of each question, the first ones; None for all.

    Raises:
        ResultsError: the log cannot be used.
    """
    known = COUNTED & run.metrics.keys()  # an imported run may not know all of them
    lines = []
    for logged in read_log(run):
        pool = logged.pool()
        kept = type(pool)(pool.candidates[:first], pool.beams, pool.question, pool.judge)
        lines.append(PoolLine(logged.where, logged.question, kept, known))
    return lines

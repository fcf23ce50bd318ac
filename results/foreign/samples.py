"""lm-eval's sample logs, of any task that generates text and any model: every repeat a candidate.

Answers are read by this project's rule (docs/answers.md), and so is the gold answer, which tasks
may have as a worked solution. What lm-eval itself made of the first response is counted beside.
"""

from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace

from ...tasks import find_judge, is_pool, read_tolerance
from ...tasks.answers import final_answer
from ..errors import ResultsError
from ..runs.log import LoggedQuestion, read_samples
from .line import COUNTED, Imported, PoolLine, read_gold

_MATCH = "exact_match"


def read_sample_log(file: Path, *, judge: str, tolerance: str) -> Imported:
    """Read a sample log.

    Args:
        file: `samples_<task>_<date>.jsonl`, or `.jsonl.gz`.
        judge: the name of the judge of the answers.
        tolerance: difference from the gold answer that counts as right.

    Raises:
        ResultsError: the log was cut off, its responses are no texts, or a gold answer cannot be
            judged; file and line are named.
    """
    logged = list(read_samples(file, [_MATCH], judge=judge))
    count = min(len(one.responses) for one in logged)
    padded = sum(len(one.responses) > count for one in logged)
    notes = []
    if padded:
        notes.append(
            f"{padded} of {len(logged)} questions have more responses than the {count} of the "
            "others: copies, by which several processes are padded. The first ones count."
        )
        logged = [replace(one, responses=one.responses[:count]) for one in logged]
    lines = [_line(one, judge) for one in logged]
    otherwise = _judged_otherwise(logged, lines, judge=judge, tolerance=tolerance)
    if otherwise:
        notes.append(
            f"lm-eval's {_MATCH} judges the first response otherwise on {otherwise} of "
            f"{len(lines)} questions: its filter and this project's rule read other answers."
        )
    return Imported(lines, judge=judge, notes=tuple(notes))


def _line(logged: LoggedQuestion, judge: str) -> PoolLine:
    question = logged.question
    worked = "####" in question.gold or r"\boxed" in question.gold
    stated = final_answer(question.gold, number=judge == "number") if worked else question.gold
    gold = read_gold(stated, judge)
    if gold is None:
        raise ResultsError(
            f"{logged.where}: the target of question {question.id!r} is {question.gold[:60]!r}, "
            f"which is not {find_judge(judge).golds}. Choose another --judge, or write the pools "
            "as JSON Lines."
        )
    # Of texts neither thoughts nor tokens are known, and whether they were cut off.
    counted = COUNTED if all(map(is_pool, logged.responses)) else frozenset()
    return PoolLine(logged.where, replace(question, gold=gold), logged.pool(), counted)


def _judged_otherwise(
    logged: Sequence[LoggedQuestion], lines: Sequence[PoolLine], *, judge: str, tolerance: str
) -> int:
    """Count the questions whose first response lm-eval judges otherwise."""
    allowed, judged = read_tolerance(tolerance), find_judge(judge)
    return sum(
        one.metrics[_MATCH] in (0, 1)
        and one.metrics[_MATCH]
        != judged.is_right(line.pool.candidates[0].answer, line.question.gold, tolerance=allowed)
        for one, line in zip(logged, lines, strict=True)
        if _MATCH in one.metrics
    )

"""A run judged or scored again, written as an ordinary run folder: nothing is sampled."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import msgspec
import pandas as pd

from ..tasks import Pool, Question, TaskError, default_ks, read_tolerance
from ..tasks.answers import final_answer
from .errors import ResultsError
from .foreign.line import COUNTED, PoolLine
from .foreign.run import directions, judged_table, log_lines, task_numbers
from .runs import Run, read_log
from .runs.lm_eval_fields import Model, ResultsFile
from .runs.lm_eval_files import find_results, write_files

Change = Callable[[Run, Sequence[PoolLine]], Sequence[PoolLine]]


@dataclass(frozen=True)
class Judging:
    """How answers are judged again; what is None stays as it was.

    Attributes:
        ks: sample counts of metrics; powers of two and N if empty.
        tolerance: difference from the gold answer that counts as right, a decimal.
        judge: the name of the judge.
        read_again: whether answers are read from the texts anew, by the rule of docs/answers.md.
    """

    ks: Sequence[int] = ()
    tolerance: str | None = None
    judge: str | None = None
    read_again: bool = False


def rewrite(
    runs: Mapping[str, Run],
    folder: Path,
    judging: Judging,
    *,
    change: Change | None = None,
    reward_model: Model | None = None,
) -> Path:
    """Judge a run's tasks again and write them as a run.

    Args:
        runs: task -> run, all of one results file.
        folder: to write to, beside the run or elsewhere.
        judging: how.
        change: makes other pools of a run's questions, such as scored ones.
        reward_model: that scored them.

    Returns:
        The results file.

    Raises:
        ResultsError: runs of several results files, a run whose sampling stopped by another judge's
            votes, a k that is larger than a pool, or what cannot be written.
    """
    sources = {run.results for run in runs.values()}
    if len(sources) > 1:
        raise ResultsError(
            f"Name one results file at a time, not {', '.join(map(str, sorted(sources)))}."
        )
    (file,), _ = find_results(sources.pop())
    content = file.content
    logs, tables = {}, {}
    for task, run in runs.items():
        lines, table = _judged(run, judging, change)
        logs[task], tables[task] = log_lines(lines, table), table
        config = content.configs[task]
        config.metadata = {**(config.metadata or {}), "ks": list(judging.ks) or None}
        config.metadata["judge"] = judging.judge or run.judge
        config.metadata["tolerance"] = judging.tolerance or run.tolerance
        _join_repeats(content, task, run)
    content.configs = {task: content.configs[task] for task in runs}
    content.results = {task: task_numbers(table, task) for task, table in tables.items()}
    content.higher_is_better = {task: directions(table) for task, table in tables.items()}
    if reward_model is not None and content.config.latent_tts is not None:
        content.config.latent_tts.reward_model = reward_model
    date = datetime.now().isoformat().replace(":", "-")
    model = str(content.model_name_sanitized or "model")
    return write_files(folder / model, date, content, logs)


def _judged(
    run: Run, judging: Judging, change: Change | None
) -> tuple[list[PoolLine], pd.DataFrame]:
    """Return a run's questions as they are judged now, with their metrics, a row a question."""
    judge, tolerance = judging.judge or run.judge, judging.tolerance or run.tolerance
    if run.config.stop and (judge != run.judge or judging.read_again):
        raise ResultsError(
            f"{run.name} stopped sampling where votes were settled by the judge {run.judge}, so by "
            "other votes it would have drawn other samples. Judge a run without stop=."
        )
    lines = [_line(one.where, one.question, one.pool(), run) for one in read_log(run)]
    if change is not None:
        lines = list(change(run, lines))
    size = min(len(line.pool.candidates) for line in lines)
    _check_ks(judging.ks, size, run.task)
    try:
        lines = [_judged_by(line, judge, read_tolerance(tolerance), judging) for line in lines]
        ks = judging.ks or default_ks(size)
        return lines, judged_table(lines, ks=ks, tolerance=tolerance, judge=judge)
    except TaskError as error:
        raise ResultsError(f"{run.name}, {run.task}: {error}") from error


def _line(where: str, question: Question, pool: Pool, run: Run) -> PoolLine:
    counted = frozenset() if run.plain_text else COUNTED
    return PoolLine(where, question, pool, counted)


def _judged_by(line: PoolLine, judge: str, tolerance: Decimal, judging: Judging) -> PoolLine:
    """Return a question under another judge, its answers read anew where that is asked for."""
    pool = line.pool.judged_by(judge)
    if judging.read_again:
        number = judge == "number"
        read = tuple(
            msgspec.structs.replace(one, answer=final_answer(one.text, number=number))
            for one in pool.candidates
        )
        pool = msgspec.structs.replace(pool, candidates=read)
    question = msgspec.structs.replace(line.question, tolerance=tolerance, judge=judge)
    return replace(line, pool=pool, question=question)


def _join_repeats(content: ResultsFile, task: str, run: Run) -> None:
    """Record a run's repeats as what they are in its pools: further candidates."""
    made = content.config.latent_tts
    if run.config.repeats > 1:
        content.configs[task].repeats = 1
        own = made.tasks.get(task) if made is not None else None
        if own is not None and own.settings is not None:
            own.settings["num_return_sequences"] = run.config.samples


def _check_ks(ks: Sequence[int], size: int, task: str) -> None:
    for k in ks:
        if not 1 <= k <= size:
            raise ResultsError(
                f"k = {k} cannot be used: the smallest pool of {task} has {size} candidates. Ask "
                "for other ks, or sample more."
            )

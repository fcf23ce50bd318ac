"""The one reader of sample logs, which `lm_eval --output_path DIR --log_samples` writes.

A log is read one question at a time; of a line only what is wanted is decoded, and its pools when
they are asked for.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

import msgspec

from ...tasks import Pool, Question, TaskError, is_pool, join_pools, read_response
from ..errors import ResultsError
from .lenient import decode
from .lm_eval_files import open_log
from .record import Run
from .survey import DAMAGED


class LoggedQuestion(msgspec.Struct, frozen=True):
    """A question of a run with its candidates.

    Attributes:
        where: file and line, for messages.
        question: its text is "" where the log has none.
        responses: its pools' JSON, or texts of another model, one for each of lm-eval's repeats.
        metrics: those that were asked for and that were logged.
        judge: the name of the task's judge.
    """

    where: str
    question: Question
    responses: tuple[str, ...]
    metrics: dict[str, float]
    judge: str = "number"

    def pool(self) -> Pool:
        """Return the candidates; the pools of repeats are joined.

        Raises:
            ResultsError: a pool is damaged.
        """
        try:
            pools = [read_response(response, judge=self.judge) for response in self.responses]
            return join_pools(pools)
        except TaskError as error:
            raise ResultsError(f"{self.where}: {error}") from error


def read_log(run: Run, metrics: Sequence[str] = ()) -> Iterator[LoggedQuestion]:
    """Read a run's sample log, one question after another.

    Args:
        run: whose log.
        metrics: whose values are wanted for each question, such as `voting@64`.

    Yields:
        The questions of the log's first filter, in the log's order.

    Raises:
        ResultsError: a line is no JSON, holds no pool or no gold answer, or lacks a metric that it
            lists, or a question comes twice, with file and line named; or there is none.
    """
    yield from read_samples(
        run.samples,
        metrics,
        repeats=run.config.repeats,
        plain_text=run.plain_text,
        judge=run.judge,
    )


def read_samples(
    file: Path,
    metrics: Sequence[str] = (),
    *,
    repeats: int | None = None,
    plain_text: bool = True,
    judge: str = "number",
) -> Iterator[LoggedQuestion]:
    """Read a sample log of any task and model, as `read_log` does.

    Args:
        file: the log.
        metrics: whose values are wanted for each question.
        repeats: how many responses to a question count, the first ones; None for all.
        plain_text: whether responses may be texts, or must be pools.
        judge: the name of the task's judge.
    """
    metrics = tuple(dict.fromkeys(metrics))
    lines = msgspec.json.Decoder(_line_type(metrics))
    first_filter = None
    seen: dict[str, int] = {}
    for number, line in _lines(file):
        where = f"{file}:{number}"
        try:
            sample = decode(line, lines)
        except msgspec.ValidationError as error:
            raise ResultsError(f"{where} cannot be read: {error}. Run again.") from error
        except ValueError as error:
            raise ResultsError(
                f"{where} is not JSON ({error}): the file was cut off. Run again."
            ) from error
        first_filter = first_filter or sample.filter
        if sample.filter != first_filter:
            continue
        found = _question(sample, where, metrics, repeats=repeats, plain_text=plain_text)
        key = found.question.id
        if seen.setdefault(key, number) != number:
            raise ResultsError(
                f"{where}: question {key!r} comes a second time, after line {seen[key]}. Two runs "
                "wrote into one log, or the data has an id twice."
            )
        yield msgspec.structs.replace(found, judge=judge)
    if not seen:
        raise ResultsError(f"{file} holds no samples. Run again.")


class _Doc(msgspec.Struct):
    id: object = None
    question: object = None


class _Line(msgspec.Struct):
    doc_id: object
    target: object
    resps: list[list[str]]
    doc: _Doc = msgspec.field(default_factory=_Doc)
    arguments: object = None
    filter: str = "none"
    metrics: list[str] = []


def _line_type(metrics: Sequence[str]) -> type[_Line]:
    """Return the type of a log's lines; fields that it lacks are skipped, not decoded."""
    columns = [(f"metric_{i}", float | None, None) for i in range(len(metrics))]
    names = {f"metric_{i}": name for i, name in enumerate(metrics)}
    return cast(type[_Line], msgspec.defstruct("Line", columns, bases=(_Line,), rename=names))


def _lines(log: Path) -> Iterator[tuple[int, bytes]]:
    number = 0
    try:
        with open_log(log) as stream:
            for number, line in enumerate(stream, start=1):
                yield number, line
    except DAMAGED as error:
        raise ResultsError(
            f"{log}:{number + 1} is not JSON ({error}): the file was cut off. Run again."
        ) from error


def _question(
    sample: _Line, where: str, metrics: Sequence[str], *, repeats: int | None, plain_text: bool
) -> LoggedQuestion:
    # Several processes pad the last question with copies, which are not its candidates.
    responses = [response for group in sample.resps for response in group]
    responses = responses[:repeats]
    if not responses or not (plain_text or all(map(is_pool, responses))):
        raise ResultsError(
            f"{where} holds no pool of candidates: only this project's tasks, run with "
            "--model latent_tts, log them."
        )
    values = {name: getattr(sample, f"metric_{i}") for i, name in enumerate(metrics)}
    lacking = [name for name in sample.metrics if values.get(name, 0.0) is None]
    if lacking:
        raise ResultsError(f"{where} lacks {lacking[0]!r}, a metric that it lists. Run again.")
    doc = sample.doc
    return LoggedQuestion(
        where=where,
        question=Question(
            id=str(sample.doc_id if doc.id is None else doc.id),
            # A task of one's own may call it otherwise: then the prompt tells.
            text=_prompt(sample.arguments) if doc.question is None else str(doc.question),
            gold=str(sample.target),
        ),
        responses=tuple(responses),
        metrics={name: value for name, value in values.items() if value is not None},
    )


def _prompt(arguments: object) -> str:
    """Return the prompt in what lm-eval logged of a request, "" where it logged none."""
    try:
        return str(arguments["gen_args_0"]["arg_0"])  # type: ignore[index]
    except (KeyError, TypeError):
        return ""

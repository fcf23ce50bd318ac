"""Sample logs read one question at a time, fast: only what a run's page shows is decoded."""

import gzip
import json
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from ..errors import ResultsError
from ..files import open_log
from ..run import Run


class LoggedCandidate(msgspec.Struct, gc=False):
    """A candidate as `tasks/pool.py` writes it.

    A dataclass with its checks for each of the millions of candidates of a leaderboard would take
    minutes; the decoder checks the types. The rewards of thoughts, most of a log's numbers, stay
    JSON: nothing is computed from them.
    """

    text: str
    answer: str | None
    thoughts: int
    answer_tokens: int
    truncated: bool
    reward: float | None = None
    step_rewards: msgspec.Raw = msgspec.Raw(b"null")


class _LoggedPool(msgspec.Struct, gc=False):
    candidates: list[LoggedCandidate]
    beams: list[LoggedCandidate] = []


class LoggedQuestion(msgspec.Struct, kw_only=True):
    """A question of a run with its candidates.

    Attributes:
        id: the data set's, else its place in it.
        text: the question.
        gold: the right answer, as written.
        candidates: all of them, in the order in which they were sampled.
        beams: the candidates that beam search ended with, best first.
        outcomes: strategy -> the share of this question that it got, 0 or 1 with all candidates.
    """

    id: str
    text: str
    gold: str
    candidates: list[LoggedCandidate]
    beams: list[LoggedCandidate]
    outcomes: dict[str, float | None]


def read_questions(run: Run, metrics: Sequence[str]) -> Iterator[LoggedQuestion]:
    """Read a run's sample log, one question after another.

    Args:
        run: whose log.
        metrics: whose values are wanted for each question, such as `voting@64`.

    Yields:
        The questions, in the log's order.

    Raises:
        ResultsError: a line or a pool is damaged, or a question stands there twice, with file and
            line named.
    """
    line_type = _line_type(metrics)
    lines = msgspec.json.Decoder(line_type)
    pools = msgspec.json.Decoder(_LoggedPool)
    first_filter, number = None, 0
    lines_of: dict[int, int] = {}
    try:
        with open_log(run.samples) as stream:
            for line in stream:
                number += 1
                sample = _decode(line, lines, line_type)
                first_filter = first_filter or sample.filter
                if sample.filter == first_filter:
                    first = lines_of.setdefault(sample.doc_id, number)
                    if first != number:
                        raise ValueError(f"doc_id {sample.doc_id} stands on line {first} already")
                    yield _question(sample, pools, metrics, limit=run.config.samples)
    except (msgspec.MsgspecError, ValueError, EOFError, gzip.BadGzipFile) as error:
        raise ResultsError(
            f"{run.samples}:{number} cannot be read ({error}). Run lm_eval again."
        ) from error


def _line_type(metrics: Sequence[str]) -> type[Any]:
    """Return the type of a log's lines: fields that it lacks are skipped, not decoded."""
    columns = [(f"metric_{i}", float | None, None) for i in range(len(metrics))]
    return msgspec.defstruct(
        "Line",
        [
            ("doc", dict[str, Any]),
            ("doc_id", int),
            ("target", Any),
            ("resps", list[list[str]]),
            ("arguments", Any, None),
            ("filter", str, "none"),
            *columns,
        ],
        rename={f"metric_{i}": name for i, name in enumerate(metrics)},
    )


def _decode(line: bytes, decoder: msgspec.json.Decoder[Any], line_type: type[Any]) -> Any:
    try:
        return decoder.decode(line)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        return msgspec.convert(json.loads(line), line_type)  # Python's JSON may hold NaN


def _question(
    sample: Any,
    decoder: msgspec.json.Decoder[_LoggedPool],
    metrics: Sequence[str],
    *,
    limit: int | None,
) -> LoggedQuestion:
    pools = [decoder.decode(response) for group in sample.resps for response in group]
    # Several processes pad the last question with copies, which are not its candidates.
    candidates = [candidate for pool in pools for candidate in pool.candidates][:limit]
    if not candidates:
        raise ValueError("it holds no candidates")
    text = sample.doc.get("question")
    return LoggedQuestion(
        id=str(sample.doc.get("id", sample.doc_id)),
        text=text if isinstance(text, str) else _prompt(sample.arguments),
        gold=str(sample.target),
        candidates=candidates,
        beams=pools[0].beams,
        outcomes={name: getattr(sample, f"metric_{i}") for i, name in enumerate(metrics)},
    )


def _prompt(arguments: Any) -> str:
    try:
        return str(arguments["gen_args_0"]["arg_0"])
    except (KeyError, TypeError):
        return ""

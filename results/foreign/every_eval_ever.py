"""Sample files of every_eval_ever's records (`<uuid>_samples.jsonl`), schema 0.3.0.

A line is one answer to a question, or one answer under one of several metrics. Those of the first
metric count; lines of one `sample_id` are the candidates of one question, in the file's order.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from ...tasks import Candidate, Pool, Question, find_judge, read_tolerance
from ...tasks.answers import final_answer
from ..errors import ResultsError
from ..runs.lenient import decode
from .line import COUNTED, Imported, PoolLine, read_gold


class _Input(msgspec.Struct):
    raw: str
    reference: list[str]


class _Output(msgspec.Struct):
    raw: list[str]


class _Attribution(msgspec.Struct):
    extracted_value: str
    is_terminal: bool


class _Evaluation(msgspec.Struct):
    is_correct: bool


class _Record(msgspec.Struct):
    sample_id: str
    input: _Input
    evaluation: _Evaluation
    output: _Output | None = None
    answer_attribution: list[_Attribution] = []
    evaluation_result_id: str | None = None
    metadata: dict[str, str] | None = None


class _Library(msgspec.Struct):
    additional_details: dict[str, str] = {}


class _Aggregate(msgspec.Struct):
    eval_library: _Library


_RECORD = msgspec.json.Decoder(_Record)
_AGGREGATE = msgspec.json.Decoder(_Aggregate)


def read_records(file: Path, *, judge: str | None, tolerance: str | None) -> Imported:
    """Read a sample file.

    Args:
        file: `<uuid>_samples.jsonl`; the record beside it may say judge, tolerance and seed.
        judge: the name of the judge of the answers, None for that of the record, or number.
        tolerance: difference from the gold answer that counts as right, None likewise.

    Raises:
        ResultsError: a line is no such record, has no answer of one turn, several gold answers or
            one that cannot be judged; file and line are named.
    """
    said = _said_beside(file)
    judge = judge or said.get("judge", "number")
    tolerance = tolerance or said.get("tolerance", "0")
    groups: dict[str, list[tuple[str, _Record]]] = {}
    metric, skipped = None, 0
    for number, line in enumerate(file.read_bytes().split(b"\n"), start=1):
        if not line.strip():
            continue
        where = f"{file}:{number}"
        record = _read(line, where)
        metric = metric if groups else record.evaluation_result_id
        if record.evaluation_result_id == metric:
            groups.setdefault(record.sample_id, []).append((where, record))
        else:
            skipped += 1
    lines = [_line(key, records, judge) for key, records in groups.items()]
    notes = []
    if skipped:
        notes.append(f"{skipped} lines under other metrics than {metric!r} are left out.")
    otherwise = _judged_otherwise(list(groups.values()), lines, judge=judge, tolerance=tolerance)
    if otherwise:
        notes.append(
            f"The record judges {otherwise} of {sum(map(len, groups.values()))} lines otherwise "
            "than this project does."
        )
    seed = said.get("seed", "")
    known = int(seed) if seed.isdecimal() else None
    return Imported(lines, judge, tolerance, seed=known, notes=tuple(notes))


def _read(line: bytes, where: str) -> _Record:
    try:
        record = decode(line, _RECORD)
    except ValueError as error:
        raise ResultsError(f"{where} is no record of every_eval_ever: {error}.") from error
    if record.output is None or not record.output.raw:
        raise ResultsError(
            f"{where} has no output of a single turn; conversations are no candidates."
        )
    return record


def _line(key: str, records: Sequence[tuple[str, _Record]], judge: str) -> PoolLine:
    where, first = records[0]
    golds = {tuple(record.input.reference) for _, record in records}
    stated = [text for reference in golds for text in reference]
    if len(stated) != 1:
        raise ResultsError(
            f"{where}: question {key!r} has the references {stated}, and one gold answer is needed."
        )
    worked = "####" in stated[0] or r"\boxed" in stated[0]
    answer = final_answer(stated[0], number=judge == "number") if worked else stated[0]
    gold = read_gold(answer, judge)
    if gold is None:
        raise ResultsError(
            f"{where}: the reference of question {key!r} is {stated[0][:60]!r}, which is not "
            f"{find_judge(judge).golds}. Choose another --judge."
        )
    candidates = tuple(one for _, record in records for one in _candidates(record, judge))
    said = [record.metadata or {} for _, record in records]
    counted = frozenset(name for name in COUNTED if all(name in one for one in said))
    question = Question(id=key, text=first.input.raw, gold=gold)
    return PoolLine(where, question, Pool(candidates, judge=judge), counted)


def _candidates(record: _Record, judge: str) -> list[Candidate]:
    texts = record.output.raw if record.output else []
    stated = [one.extracted_value for one in record.answer_attribution if one.is_terminal]
    answers: list[str | None] = list(stated) if len(stated) == len(texts) else [None] * len(texts)
    for index, (text, answer) in enumerate(zip(texts, answers, strict=True)):
        if answer == text or (answer is None and len(stated) not in (0, len(texts))):
            answers[index] = final_answer(text, number=judge == "number")
    said = record.metadata or {}
    return [
        Candidate(
            text=text,
            answer=answer,
            thoughts=_count(said, "thoughts"),
            answer_tokens=_count(said, "answer_tokens"),
            truncated=said.get("truncated") == "true",
            reward=_reward(said),
        )
        for text, answer in zip(texts, answers, strict=True)
    ]


def _count(said: Mapping[str, str], name: str) -> int:
    text = said.get(name, "")
    return int(text) if text.isdecimal() else 0


def _reward(said: Mapping[str, str]) -> float | None:
    if "reward" not in said:
        return None
    try:
        number = float(said["reward"])
    except ValueError:
        return math.nan
    return number if math.isfinite(number) else math.nan


def _judged_otherwise(
    groups: Sequence[Sequence[tuple[str, _Record]]],
    lines: Sequence[PoolLine],
    *,
    judge: str,
    tolerance: str,
) -> int:
    """Count the records of one answer that are judged otherwise."""
    judged, allowed = find_judge(judge), read_tolerance(tolerance)
    return sum(
        judged.is_right(one.answer, line.question.gold, tolerance=allowed)
        != record.evaluation.is_correct
        for records, line in zip(groups, lines, strict=True)
        if len(records) == len(line.pool.candidates)
        for (_, record), one in zip(records, line.pool.candidates, strict=True)
    )


def _said_beside(file: Path) -> dict[str, str]:
    """Return what the record beside a sample file says of how its answers are judged."""
    record = file.with_name(f"{file.stem.removesuffix('_samples')}.json")
    try:
        return decode(record.read_bytes(), _AGGREGATE).eval_library.additional_details
    except (OSError, ValueError):
        return {}

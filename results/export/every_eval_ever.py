"""A record of every_eval_ever: a JSON file of scores and, beside it, one of all candidates.

Schema 0.3.0, as the package every-eval-ever publishes it. A line of the sample file is one
candidate, so that the mean of its scores is the record's pass@1.
"""

import hashlib
import json
import math
import re
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ...tasks import NEUTRAL, Candidate, find_judge, read_tolerance
from ..errors import ResultsError
from ..foreign.line import PoolLine
from ..runs import Run
from .fields import model_info, result, texts
from .files import write_new

SCHEMA = "0.3.0"
RELATIONS = ("first_party", "third_party", "collaborative", "other")
_MODEL = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*(?<![.])")


@dataclass(frozen=True, kw_only=True)
class Publisher:
    """What no run says of who publishes it.

    Attributes:
        model: the model's name as it is published, `org/name`.
        organization: that made the evaluation.
        relation: of the organization to the model, one of `RELATIONS`.
    """

    model: str
    organization: str
    relation: str

    def __post_init__(self) -> None:
        """Refuse names that no record can bear."""
        if not _MODEL.fullmatch(self.model) or self.model.startswith("data/"):
            raise ResultsError(
                f"--model {self.model!r} must be org/name, as on the hub: letters, digits and "
                "_ . - on both sides."
            )
        if not self.organization.strip():
            raise ResultsError("--organization must say who made the evaluation.")


def write_record(
    run: Run, lines: Sequence[PoolLine], folder: Path, *, publisher: Publisher
) -> Path:
    """Write a run as a record and its sample file.

    Args:
        run: whose metrics are written.
        lines: its questions with all their candidates.
        folder: that holds `data/`, as the project's repository does.
        publisher: what the run does not say.

    Returns:
        The record, `data/<task>/<org>/<name>/<uuid>.json`; the sample file lies beside it.

    Raises:
        ResultsError: outcomes alone are known, or a file is there already or cannot be written.
    """
    if not find_judge(run.judge).knows_answers:
        raise ResultsError(
            f"{run.name} knows outcomes alone, and a record needs the candidates' answers."
        )
    place = Path("data", run.task, *publisher.model.split("/"))
    digest = hashlib.sha256(run.samples.read_bytes()).digest()
    name = str(uuid.UUID(bytes=digest[:16], version=4))  # the same run has the same name
    created = str(int(time.time()))
    identity = f"{run.task}/{publisher.model}/{created}"
    samples = place / f"{name}_samples.jsonl"
    content = "".join(
        f"{json.dumps(row, allow_nan=False)}\n" for row in _rows(run, lines, identity, publisher)
    ).encode()
    record = {
        "schema_version": SCHEMA,
        "evaluation_id": identity,
        "evaluation_timestamp": _timestamp(run.date),
        "retrieved_timestamp": created,
        "source_metadata": {
            "source_name": "latent-tts",
            "source_type": "evaluation_run",
            "source_organization_name": publisher.organization,
            "evaluator_relationship": publisher.relation,
        },
        "model_info": model_info(run, publisher.model),
        "eval_library": {
            "name": "latent-tts",
            "version": run.config.versions.get("latent-tts", "unknown"),
            "additional_details": texts(
                {"judge": run.judge, "tolerance": run.tolerance, "seed": run.config.seed}
                | {k: v for k, v in run.config.versions.items() if k != "latent-tts"}
            ),
        },
        "evaluation_results": [result(run, metric) for metric in _shown(run)],
        "detailed_evaluation_results": {
            "format": "jsonl",
            "file_path": samples.as_posix(),
            "hash_algorithm": "sha256",
            "checksum": hashlib.sha256(content).hexdigest(),
            "total_rows": content.count(b"\n"),
        },
    }
    path = folder / place / f"{name}.json"
    text = json.dumps(record, indent=2, allow_nan=False)
    write_new({folder / samples: content, path: text.encode()})
    return path


def _rows(
    run: Run, lines: Sequence[PoolLine], identity: str, publisher: Publisher
) -> Iterator[dict[str, object]]:
    judge, tolerance = find_judge(run.judge), read_tolerance(run.tolerance)
    result = {"evaluation_result_id": "pass@1"} if "pass@1" in run.metrics else {}
    for line in lines:
        question = line.question
        asked = json.dumps([question.text, question.gold]).encode()
        for index, one in enumerate(line.pool.candidates):
            right = judge.is_right(one.answer, question.gold, tolerance=tolerance)
            yield {
                "schema_version": SCHEMA,
                "evaluation_id": identity,
                "model_id": publisher.model,
                "evaluation_name": run.task,
                **result,
                "sample_id": question.id,
                "sample_hash": hashlib.sha256(asked).hexdigest(),
                "interaction_type": "single_turn",
                "input": {"raw": question.text, "reference": [question.gold]},
                "output": {"raw": [one.text]},
                "answer_attribution": _attribution(one),
                "evaluation": {"score": float(right), "is_correct": right},
                "metadata": texts({"candidate": index} | _known(one, line.counted)),
            }


def _attribution(one: Candidate) -> list[dict[str, object]]:
    """Return the answer that a candidate states, nothing where it states none."""
    if one.answer is None:
        return []
    return [
        {
            "turn_idx": 0,
            "source": "output.raw",
            "extracted_value": one.answer,
            "extraction_method": "custom",
            "is_terminal": True,
        }
    ]


def _known(one: Candidate, counted: frozenset[str]) -> dict[str, object]:
    counts = {name: getattr(one, name) for name in sorted(counted)}
    return counts | {"reward": one.reward}


def _shown(run: Run) -> list[str]:
    """Return the metrics that have a direction and a value."""
    return [
        name
        for name, estimate in run.metrics.items()
        if name not in NEUTRAL and math.isfinite(estimate.value)
    ]


def _timestamp(date: str) -> str:
    """Return a date of lm-eval's file names as ISO 8601."""
    day, _, clock = date.partition("T")
    return datetime.fromisoformat(f"{day}T{clock.replace('-', ':')}").isoformat()

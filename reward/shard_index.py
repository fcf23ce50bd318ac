"""What made a folder of shards, and the digests by which it is known again."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..models.identity import digest
from ..tasks import Question


@dataclass(frozen=True, kw_only=True)
class ShardIndex:
    """Everything that determines the shards of a folder.

    Attributes:
        backbone: the kind, such as `coconut`.
        checkpoint: digest of the backbone's weights.
        settings: N (`num_return_sequences`), the seed, the sampler and the lengths.
        rollouts: completions M from each intermediate thought.
        questions: digest of the question set.
        count: questions in the set.
        shard_size: questions in a shard; the last may hold fewer.
    """

    backbone: str
    checkpoint: str
    settings: dict[str, Any]
    rollouts: int
    questions: str
    count: int
    shard_size: int

    @property
    def digest(self) -> str:
        """Digest of all fields, which every shard bears."""
        return digest([json.dumps(asdict(self), sort_keys=True).encode()])

    @property
    def shards(self) -> int:
        """How many shards make the folder complete."""
        return -(-self.count // self.shard_size)

    def questions_of(self, shard: int) -> range:
        """Return the indices, in the question set, of the questions that a shard holds."""
        start = shard * self.shard_size
        return range(start, min(start + self.shard_size, self.count))


def questions_digest(questions: Sequence[Question]) -> str:
    """Return a digest of a question set, its order included."""
    rows = [[one.id, one.text, one.gold, *_unusual(one)] for one in questions]
    return digest([json.dumps(rows).encode()])


def _unusual(question: Question) -> list[str]:
    """Return how answers are judged, where it is not as shards of earlier versions were."""
    judge = [question.judge] if question.judge != "number" else []
    return judge + ([str(question.tolerance)] if question.tolerance else [])

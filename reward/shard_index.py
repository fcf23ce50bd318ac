"""What made a folder of shards, and the digests by which it is known again."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

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
        return _digest([json.dumps(asdict(self), sort_keys=True).encode()])

    @property
    def shards(self) -> int:
        """How many shards make the folder complete."""
        return -(-self.count // self.shard_size)

    def places(self, shard: int) -> range:
        """Return the places in the question set that a shard holds."""
        start = shard * self.shard_size
        return range(start, min(start + self.shard_size, self.count))

    def differences(self, other: "ShardIndex") -> dict[str, tuple[Any, Any]]:
        """Return the fields that differ, settings by their own names: own value, other's."""
        own, theirs = self._flat(), other._flat()
        return {
            name: (own.get(name), theirs.get(name))
            for name in sorted(own | theirs)
            if own.get(name) != theirs.get(name)
        }

    def _flat(self) -> dict[str, Any]:
        fields = asdict(self)
        return fields.pop("settings") | fields


def checkpoint_digest(model: Any) -> str:
    """Return a digest of a model's weights, the same in whatever folder or precision they lie.

    float16 and bfloat16 are hashed as the float32 values that they stand for.
    """
    weights = sorted(model.state_dict().items())
    return _digest(
        part
        for name, tensor in weights
        for part in (
            name.encode(),
            _bytes(tensor.float() if tensor.is_floating_point() else tensor),
        )
    )


def questions_digest(questions: Sequence[Question]) -> str:
    """Return a digest of a question set, its order included."""
    rows = [[question.id, question.text, question.gold] for question in questions]
    return _digest([json.dumps(rows).encode()])


def tensors_digest(tensors: Mapping[str, torch.Tensor]) -> str:
    """Return a digest of named tensors: names, shapes and values."""
    return _digest(
        part
        for name, tensor in sorted(tensors.items())
        for part in (f"{name}{list(tensor.shape)}".encode(), _bytes(tensor))
    )


def _bytes(tensor: torch.Tensor) -> Any:
    return tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()


def _digest(parts: Iterable[Any]) -> str:
    state = hashlib.blake2b(digest_size=16)
    for part in parts:
        state.update(part)
    return state.hexdigest()

"""Shards as earlier versions wrote them: a safetensors file for a range of the question set."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import torch
from safetensors import SafetensorError, safe_open

from ..models.identity import tensors_digest
from .errors import CorruptShardError, RewardError
from .labels import LabelledQuestion
from .shard_index import ShardIndex

logger = logging.getLogger(__name__)

_KEY = "latent_tts"  # of a shard's metadata


class _Question(msgspec.Struct):
    """What a shard says of a question beside its tensors."""

    id: str
    gold: str
    answers: tuple[str | None, ...]


class _About(msgspec.Struct):
    """What a shard's metadata say: the index's digest, its number, and its tensors' digest."""

    run: str
    shard: int
    tensors: str
    questions: list[_Question]


def old_entries(folder: Path, index: ShardIndex) -> Iterator[tuple[int, LabelledQuestion]]:
    """Yield the questions of a folder's shards by their numbers, naming each damaged shard.

    Raises:
        RewardError: a shard belongs to another run.
    """
    for shard in range(index.shards):
        path = folder / f"shard-{shard:05d}.safetensors"
        if not path.exists():
            continue
        try:
            entries = _read(path, shard, index)
        except CorruptShardError as error:
            logger.warning("%s It is left out.", error)
            continue
        yield from zip(index.questions_of(shard), entries, strict=False)


def _read(path: Path, shard: int, index: ShardIndex) -> list[LabelledQuestion]:
    try:
        with safe_open(path, framework="pt") as file:
            about = msgspec.json.decode(file.metadata()[_KEY], type=_About)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        sound = about.tensors == tensors_digest(tensors)
        entries = _unpack(tensors, about.questions) if sound else []
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise CorruptShardError(f"The shard {path} cannot be read: {error}.") from error
    if not sound:
        raise CorruptShardError(f"The shard {path} is damaged: its checksum does not match.")
    if (about.run, about.shard) != (index.digest, shard):
        raise RewardError(
            f"The shard {path} was made by another run than {path.parent / 'index.json'} "
            "describes: another backbone, seed or question set. Take it out of the folder."
        )
    return entries


def _unpack(
    tensors: dict[str, torch.Tensor], questions: Sequence[_Question]
) -> list[LabelledQuestion]:
    prompts = tensors["prompts"].split(tensors["prompt_lengths"].tolist())
    entries = []
    for index, (question, prompt) in enumerate(zip(questions, prompts, strict=True)):
        lengths = tensors["lengths"][index]
        longest = int(lengths.max())
        entries.append(
            LabelledQuestion(
                id=question.id,
                gold=question.gold,
                prompt=tuple(prompt.tolist()),
                answers=question.answers,
                thoughts=tensors["thoughts"][index, :, :longest],
                lengths=lengths,
                labels=tensors["labels"][index, :, :longest],
                right=tensors["right"][index],
            )
        )
    return entries

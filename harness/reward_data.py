"""What a reward model learns from and is measured on: labelled questions of one backbone."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..models.samplers.randomness import question_key
from ..results.runs.settings import sampler_of
from ..reward import RewardError
from ..reward.labels import LabelledQuestion
from ..reward.shard_index import ShardIndex
from ..reward.shards import Shards

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RewardData:
    """Labelled questions, apart from those that recall@1 is measured on.

    Attributes:
        learned: what is trained on.
        held_out: what is not.
        about: what a record of the training says of their shards.
    """

    learned: Sequence[LabelledQuestion]
    held_out: Sequence[LabelledQuestion]
    about: dict[str, Any]


def read_reward_data(
    folders: Sequence[Path],
    validation: Path | None,
    *,
    digest: str,
    backbone: str,
    pretrained: str,
) -> RewardData:
    """Read folders of shards, and hold a tenth of the questions out where there is no other folder.

    Args:
        folders: that `latent-tts annotate` wrote.
        validation: a folder whose questions are held out.
        digest: of the weights that must have made them.
        backbone: the method by which these must have thought.
        pretrained: the backbone's name, for messages.

    Raises:
        RewardError: shards of another backbone, none at all, or questions that are in both parts.
    """
    opened = {
        path: _open(path, digest, backbone, pretrained) for path in (*folders, validation) if path
    }
    read = [_read(opened[path]) for path in folders]
    learned = [entry for entries in read for entry in entries]
    if validation:
        held_out = _read(opened[validation])
    else:
        # By the prompt, so that equal questions stay together and no order of kinds matters.
        held = [question_key(0, entry.prompt) % 10 == 0 for entry in learned]
        held_out = [entry for entry, chosen in zip(learned, held, strict=True) if chosen]
        learned = [entry for entry, chosen in zip(learned, held, strict=True) if not chosen]
    _check_held_out(learned, held_out)
    return RewardData(
        learned,
        held_out,
        {
            "shards": [opened[path].index.digest for path in folders],
            "annotated": [
                _annotated(opened[path].index, len(entries))
                for path, entries in zip(folders, read, strict=True)
            ],
            "validation": opened[validation].index.digest if validation else None,
        },
    )


def _open(path: Path, digest: str, backbone: str, pretrained: str) -> Shards:
    shards = Shards.open(path)
    if shards.index.backbone != backbone:
        raise RewardError(
            f"The shards in {path} hold thoughts of {shards.index.backbone}, but {pretrained!r} "
            f"was loaded as {backbone}. Give --backbone {shards.index.backbone}, or annotate again."
        )
    if shards.index.checkpoint != digest:
        raise RewardError(
            f"The shards in {path} were made by another backbone (weights "
            f"{shards.index.checkpoint}) than {pretrained!r} (weights {digest}): its thoughts mean "
            "something else. Give the backbone that made them with --pretrained, or annotate again."
        )
    return shards


def _read(shards: Shards) -> list[LabelledQuestion]:
    entries = [entry for _, entry in shards.entries()]
    if not entries:
        raise RewardError(
            f"{shards.folder} holds no labelled question. Run `latent-tts annotate` first."
        )
    if len(entries) < shards.index.count:
        logger.warning(
            "%s holds %d of its %d questions so far; going on with those.",
            shards.folder,
            len(entries),
            shards.index.count,
        )
    return entries


def _annotated(index: ShardIndex, read: int) -> dict[str, Any]:
    """Return what a model card says of a folder of shards, of which so many questions were read."""
    sampler = sampler_of(index.settings)
    return {
        "questions": read,
        "trajectories": index.settings["num_return_sequences"],
        "rollouts": index.rollouts,
        "sampler": sampler.name,
        "strength": sampler.strength,
    }


def _check_held_out(
    learned: Sequence[LabelledQuestion], held_out: Sequence[LabelledQuestion]
) -> None:
    if not held_out:
        raise RewardError(
            f"{len(learned)} questions leave none to measure recall@1 on: annotate at least ten, "
            "or give --validation."
        )
    prompts = {entry.prompt for entry in learned}
    shared = sum(entry.prompt in prompts for entry in held_out)
    if shared:
        raise RewardError(
            f"{shared} of the {len(held_out)} held-out questions are learned too, so recall@1 "
            "would be too high. Annotate other questions for --validation (--split validation)."
        )

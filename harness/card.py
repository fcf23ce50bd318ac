"""The model cards of checkpoints that this project trained; their texts lie in `cards/`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def reward_card(name: str, backbone: str, about: Mapping[str, Any], *, parameters: int) -> str:
    """Return a reward model's card as Markdown.

    Args:
        name: of the checkpoint.
        backbone: whose thoughts it scores.
        about: what `measured.json` holds.
        parameters: of the model, a count.
    """
    shards = "\n".join(
        "| {questions:,} | {trajectories} | {rollouts} | {sampler} | {strength:g} |".format(**row)
        for row in about["annotated"]
    )
    training = card_text("untrained" if about["random_head"] else "trained").rstrip("\n")
    measured = about["measured"]
    return card_text("reward_model").format(
        name=name,
        backbone=backbone,
        backbone_class=about["backbone_class"],
        digest=about["backbone"],
        parameters=parameters,
        shards=shards,
        training=training.format(**about["questions"], **about["recipe"]),
        recall=measured["recall@1"],
        stderr=measured["stderr"],
        pass_at_1=measured["pass@1"],
        coverage=measured["coverage"],
    )


def card_text(name: str) -> str:
    """Return the text of a kind of card, with fields in braces."""
    return Path(__file__).with_name("cards").joinpath(f"{name}.md").read_text(encoding="utf-8")

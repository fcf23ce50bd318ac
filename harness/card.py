"""The model cards of checkpoints that this project trained; their texts lie in `cards/`."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .recipe import Recipe


def model_card(
    name: str, recipe: Recipe, measured: Sequence[Mapping[str, Any]], *, parameters: int
) -> str:
    """Return the card's Markdown.

    Args:
        name: of the checkpoint.
        recipe: that made it.
        measured: of each stage, as `measured.json` holds it.
        parameters: of the model, a count.
    """
    defaults = asdict(Recipe())
    options = "".join(
        f" --{field.replace('_', '-')} {value}"
        for field, value in asdict(recipe).items()
        if value != defaults[field]
    )
    stages = "\n".join(
        "| {name} | {thoughts} | {updates} | ".format(**row["stage"])
        + f"{row['seconds'] / 60:.0f} | {row['device']} | "
        + "{accuracy:.1%} ± {stderr:.1%} |".format(**row["validation"])
        for row in measured
    )
    return _text("backbone").format(
        name=name,
        parameters=parameters,
        thoughts=recipe.latent_length,
        hard=recipe.hard_share,
        options=options,
        stages=stages,
        **{name: value for name, value in asdict(recipe).items() if name != "hard_share"},
    )


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
    training = _text("untrained" if about["random_head"] else "trained").rstrip("\n")
    measured = about["measured"]
    return _text("reward_model").format(
        name=name,
        backbone=backbone,
        parameters=parameters,
        shards=shards,
        training=training.format(**about["questions"], **about["recipe"]),
        recall=measured["recall@1"],
        stderr=measured["stderr"],
        pass_at_1=measured["pass@1"],
        coverage=measured["coverage"],
    )


def _text(name: str) -> str:
    return Path(__file__).with_name("cards").joinpath(f"{name}.md").read_text(encoding="utf-8")

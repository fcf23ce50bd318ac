"""Prompts that are too long: found, with their questions, before anything is sampled."""

from collections.abc import Sequence

from ..models import LatentBackbone, LatentSettings, ModelError
from ..models.engine.positions import position_limit
from ..reward.model import LatentRewardHead

_SHOWN = 5


def long_prompts(
    model: LatentBackbone,
    prompts: Sequence[Sequence[int]],
    settings: LatentSettings,
    *,
    reward_model: LatentRewardHead | None = None,
) -> dict[int, int]:
    """Return the tokens of the prompts that leave no room for thoughts and an answer, by index."""
    room = prompt_room(model, settings, reward_model=reward_model)
    return {index: len(prompt) for index, prompt in enumerate(prompts) if len(prompt) > room}


def prompt_room(
    model: LatentBackbone,
    settings: LatentSettings,
    *,
    reward_model: LatentRewardHead | None = None,
) -> int:
    """Return the most tokens that a prompt may have."""
    after = len(model.latent_tokens.ending) + 1  # the end marker and an answer
    room = position_limit(model) - settings.thought_limit - after
    if reward_model is None:
        return room
    return min(room, position_limit(reward_model) - settings.thought_limit)


def refuse_long_prompts(
    model: LatentBackbone,
    settings: LatentSettings,
    named: Sequence[tuple[str, int]],
    *,
    reward_model: LatentRewardHead | None = None,
    instead: str = "Leave them out",
) -> None:
    """Raise ModelError if there are prompts that are too long.

    Args:
        model: whose positions they exceed.
        settings: how many thoughts follow them.
        named: each question in words, and its tokens.
        reward_model: reads prompts and thoughts too.
        instead: what can be done beside fewer thoughts.
    """
    if not named:
        return
    shown = ", ".join(f"{name} ({tokens} tokens)" for name, tokens in named[:_SHOWN])
    more = f" and {len(named) - _SHOWN} more" if len(named) > _SHOWN else ""
    room = prompt_room(model, settings, reward_model=reward_model)
    raise ModelError(
        f"{len(named)} prompts are too long: {shown}{more}. {model.name_or_path!r} has "
        f"{position_limit(model)} positions, and {settings.thought_limit} thoughts, the end marker "
        f"and an answer leave {room} of them for a prompt. {instead}, or think fewer thoughts."
    )

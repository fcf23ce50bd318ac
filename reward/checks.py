"""What a reward model can read: shapes, ids, positions, and whose thoughts."""

import torch

from ..models import LatentBackbone, LatentSettings
from ..models.backbones.protocol import Readable
from ..models.engine.positions import position_limit
from .errors import RewardError


def check_shapes(
    model: Readable,
    input_ids: torch.Tensor,
    thoughts: torch.Tensor,
    mask: torch.Tensor | None,
    lengths: torch.Tensor | None,
) -> None:
    """Raise RewardError for shapes, ids or lengths that do not belong together."""
    width = model.config.get_text_config().hidden_size
    if thoughts.dim() != 4 or len(thoughts) != len(input_ids) or thoughts.shape[-1] != width:
        raise RewardError(
            f"latent_thoughts of shape {tuple(thoughts.shape)} for {len(input_ids)} prompts; "
            f"needed is [{len(input_ids)}, N, T, {width}]: the thoughts of this reward model's own "
            "backbone, grouped by question."
        )
    vocabulary = _vocabulary(model)
    if 0 in (*input_ids.shape, thoughts.shape[1]):
        raise RewardError(
            f"input_ids of shape {tuple(input_ids.shape)} and latent_thoughts of shape "
            f"{tuple(thoughts.shape)}; needed is at least one prompt, token and trajectory."
        )
    if bool(((input_ids < 0) | (input_ids >= vocabulary)).any()):
        raise RewardError(
            f"input_ids from {int(input_ids.min())} to {int(input_ids.max())}; the reward model "
            f"{model.name_or_path!r} knows 0 to {vocabulary - 1}. Use its own backbone's tokenizer."
        )
    if mask is not None and (mask.shape != input_ids.shape or not bool(mask[:, -1:].all())):
        raise RewardError(
            f"attention_mask of shape {tuple(mask.shape)} for input_ids of shape "
            f"{tuple(input_ids.shape)}; needed is the same shape, padded on the left, so that "
            "every prompt ends with an attended token."
        )
    if lengths is not None and lengths.shape != thoughts.shape[:2]:
        raise RewardError(
            f"lengths of shape {tuple(lengths.shape)} for thoughts of shape "
            f"{tuple(thoughts.shape)}; needed is {list(thoughts.shape[:2])}."
        )
    if lengths is not None and bool(((lengths < 0) | (lengths > thoughts.shape[2])).any()):
        raise RewardError(
            f"lengths from {int(lengths.min())} to {int(lengths.max())}; allowed are 0 to "
            f"{thoughts.shape[2]}, the thoughts given."
        )


def check_positions(model: Readable, longest: int, depth: int) -> None:
    """Raise RewardError where a prompt of `longest` tokens with `depth` thoughts is too long."""
    needed = longest + depth
    limit = position_limit(model)
    if needed > limit:
        raise RewardError(
            f"A prompt with {depth} thoughts needs {needed} positions; the reward model "
            f"{model.name_or_path!r} has {limit}. Shorten the question."
        )


def check_fit(backbone: LatentBackbone, model: Readable) -> None:
    """Raise RewardError for a reward model that cannot read a backbone's prompts and thoughts."""
    for what, ours, theirs in (
        ("thoughts of size", _size(model), _size(backbone)),
        ("token ids below", _vocabulary(model), _vocabulary(backbone)),
    ):
        if ours != theirs:
            raise RewardError(
                f"The reward model {model.name_or_path!r} reads {what} {ours}, but the backbone "
                f"{backbone.name_or_path!r} has {what} {theirs}: they do not belong together. "
                "Give a reward model that was trained on this backbone."
            )


def _size(model: Readable) -> int:
    size: int = model.config.get_text_config().hidden_size
    return size


def _vocabulary(model: Readable) -> int:
    return model.get_input_embeddings().num_embeddings


def check_thinks(backbone: LatentBackbone, settings: LatentSettings) -> None:
    """Raise RewardError where there are no thoughts, of which alone a reward model tells."""
    if not settings.thought_limit:
        raise RewardError(
            f"The backbone {backbone.name_or_path!r} ({backbone.backbone}) has no thoughts under "
            "these settings, and a LatentRM scores thoughts alone, never a written chain: every "
            "reward would be 0. Leave the reward model out, or let it think (latent_length=)."
        )

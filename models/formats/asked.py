"""What layouts ask users for, since no file says it, and what they leave out of files."""

from collections.abc import Mapping, Sequence

import torch

from ..errors import ModelError
from .options import SourceOptions
from .source import Source


def known_length(options: SourceOptions, source: str) -> int:
    """Return the number of thoughts that the user gave.

    Args:
        options: what the user gave.
        source: of which, for the message.

    Raises:
        ModelError: none was given: it is in no file, and a guess would be a wrong number.
    """
    if options.latent_length is None:
        raise ModelError(
            f"{source!r} does not say how many thoughts the model was trained to think: give "
            "latent_length=, in --model_args. COCONUT's GSM8K recipe ends with 2 a step and 3 "
            "steps, which is latent_length=6."
        )
    return options.latent_length


def known_alpha(
    options: SourceOptions,
    source: Source,
    weights: Mapping[str, torch.Tensor],
    *,
    stated: float | None = None,
    published: int,
) -> float:
    """Return the scale of the low-rank updates among some weights; 0 where there are none.

    Args:
        options: what the user gave, which wins.
        source: for messages.
        weights: by name.
        stated: what the source's own settings say.
        published: what the method's published runs have, for the message.

    Raises:
        ModelError: there are updates, and nobody says their scale.
    """
    alpha = options.lora_alpha or stated
    if not any(".lora_" in name for name in weights):
        if options.lora_alpha is not None:
            raise ModelError(
                f"lora_alpha={options.lora_alpha:g}, but {source.name!r} holds no low-rank updates "
                "(lora_A, lora_B): they are merged already, or there were none. Leave it out."
            )
        return 0.0
    if alpha is None:
        raise ModelError(
            f"{source.name!r} holds low-rank updates, whose scale alpha cannot be told from the "
            f"file: give lora_alpha=; the published scripts have lora_alpha={published}."
        )
    return alpha


def leave_out(
    weights: Mapping[str, torch.Tensor], prefixes: Sequence[str]
) -> tuple[dict[str, torch.Tensor], tuple[str, ...]]:
    """Return the weights without those of some prefixes, and the patterns that were left out."""
    kept = {name: each for name, each in weights.items() if not name.startswith(tuple(prefixes))}
    gone = tuple(
        f"{prefix}* ({count} tensors)"
        for prefix in prefixes
        if (count := sum(name.startswith(prefix) for name in weights))
    )
    return kept, gone

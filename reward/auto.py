"""Find the reward model of a checkpoint and load it, or begin one from a backbone."""

import copy
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig

from ..models import LatentBackbone, ModelError, load_tokenizer, resolve_checkpoint
from ..models.identity import checkpoint_digest
from ..models.weights import load_weights
from .errors import RewardError
from .model import ENDING, LatentRewardHead, check_fit, reward_class

logger = logging.getLogger(__name__)

# The names of dropout probabilities in configs, GPT-2's and Llama's.
_DROPOUTS = ("attn_pdrop", "embd_pdrop", "resid_pdrop", "attention_dropout")


class LatentRewardModel:
    """Loads or begins a reward model; not to be instantiated."""

    def __init__(self) -> None:
        """Refuse, as transformers' Auto classes do."""
        raise TypeError("Use LatentRewardModel.from_pretrained(path_or_id).")

    @staticmethod
    def from_pretrained(
        path_or_id: str | Path,
        *,
        revision: str = "main",
        ignore_weights: str | Sequence[str] = (),
        **kwargs: Any,
    ) -> LatentRewardHead:
        """Load a LatentRM in the released format (`transformer.*`, `classifier.*`).

        Args:
            path_or_id: a folder, a hub id, or the name of one that ships.
            revision: of a hub repository.
            ignore_weights: names of weights in the files that may be left unread, with `*` for any
                characters; several in a list, or joined by `+`.
            **kwargs: for transformers' `from_pretrained`; dtype is float32 unless given.

        Returns:
            A `PreTrainedModel` with `score`, in evaluation mode.

        Raises:
            RewardError: files that cannot be read, a model that transformers has no trunk for,
                or weights that are missing, that nobody reads, or that are not finite.
        """
        name = resolve_checkpoint(str(path_or_id))
        kwargs.setdefault("dtype", torch.float32)
        try:
            config = AutoConfig.from_pretrained(name, revision=revision)
            named = next((one for one in config.architectures or [] if one.endswith(ENDING)), None)
            kind = reward_class(type(config), named)
        except RewardError:
            raise
        except (OSError, ValueError, KeyError) as error:
            raise RewardError(f"The reward model {name!r} cannot be loaded: {error}") from error
        model: Any = load_weights(
            kind,
            name,
            what="reward model",
            advice="It may be no reward model: give one trained by `latent-tts train-rm` or a "
            "released LatentRM.",
            error=RewardError,
            revision=revision,
            ignore_weights=ignore_weights,
            config=config,
            **kwargs,
        )
        check_finite(model, name)
        return model.eval()

    @staticmethod
    def from_backbone(backbone: LatentBackbone) -> LatentRewardHead:
        """Begin a reward model from a copy of a backbone's trunk and a random head.

        The head is drawn from torch's global generator; `transformers.set_seed` fixes it.

        Args:
            backbone: a `LatentBackbone`.

        Returns:
            A `PreTrainedModel` with `score`, in evaluation mode, without any dropout.
        """
        kind: Any = reward_class(type(backbone.config))
        # A copy, because saving writes the architecture into it; without dropout, because a reward
        # model is trained with none.
        config = copy.deepcopy(backbone.config)
        config.update({name: 0.0 for name in _DROPOUTS if hasattr(config, name)})
        model = kind(config)
        model.base_model.load_state_dict(backbone.base_model.state_dict())
        return model.to(backbone.device, backbone.dtype).eval()


def check_finite(model: LatentRewardHead, name: str) -> None:
    """Raise RewardError for weights that are NaN or infinite, under which every reward would be."""
    broken = [key for key, value in model.named_parameters() if not bool(value.isfinite().all())]
    if broken:
        raise RewardError(
            f"The weights {', '.join(broken[:3])} of the reward model {name!r} are NaN or "
            "infinite: its training diverged or its file is damaged. Train again with a lower "
            "learning rate, or give another reward_model."
        )


def check_pair(
    backbone: LatentBackbone,
    model: LatentRewardHead,
    tokenizer: Any,
    *,
    revision: str = "main",
) -> None:
    """Make sure that a reward model reads a backbone's prompts and thoughts as it was trained to.

    Args:
        backbone: a `LatentBackbone`.
        model: the reward model.
        tokenizer: the backbone's.
        revision: of the reward model's hub repository.

    Raises:
        RewardError: another hidden size, number of tokens or tokenizer.
    """
    check_fit(backbone, model)
    try:
        theirs = load_tokenizer(model.name_or_path, revision)
    except ModelError:
        theirs = None  # weights alone, which must then be the backbone's own
    if theirs is not None and theirs.get_vocab() != tokenizer.get_vocab():
        raise RewardError(
            f"The reward model {model.name_or_path!r} has another tokenizer than the backbone "
            f"{backbone.name_or_path!r}, so it would read other prompts. Give a reward model that "
            "was trained on this backbone."
        )
    trained_on = getattr(model.config, "latent_backbone", None)
    if trained_on is not None and trained_on != checkpoint_digest(backbone):
        logger.warning(
            "The reward model %r was trained on the thoughts of other weights than those of %r.",
            model.name_or_path,
            backbone.name_or_path,
        )

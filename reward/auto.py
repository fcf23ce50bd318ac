"""Find the reward model of a checkpoint and load it, or begin one from a backbone."""

import copy
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoConfig

from ..models import LatentBackbone, ModelError, load_tokenizer, resolve_checkpoint
from ..models.identity import checkpoint_digest
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
        path_or_id: str | Path, *, revision: str = "main", **kwargs: Any
    ) -> LatentRewardHead:
        """Load a LatentRM in the released format (`transformer.*`, `classifier.*`).

        Args:
            path_or_id: a folder, a hub id, or the name of one that ships.
            revision: of a hub repository.
            **kwargs: for transformers' `from_pretrained`; dtype is float32 unless given.

        Returns:
            A `PreTrainedModel` with `score`, in evaluation mode.

        Raises:
            RewardError: files that cannot be read, a model that transformers has no trunk for,
                or weights that lack its head or trunk or are not finite.
        """
        name = resolve_checkpoint(str(path_or_id))
        kwargs.setdefault("dtype", torch.float32)
        try:
            config = AutoConfig.from_pretrained(name, revision=revision)
            named = next((one for one in config.architectures or [] if one.endswith(ENDING)), None)
            kind: Any = reward_class(type(config), named)
            model, loaded = kind.from_pretrained(
                name,
                config=config,
                revision=revision,
                output_loading_info=True,
                ignore_mismatched_sizes=True,
                **kwargs,
            )
        except RewardError:
            raise
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            raise RewardError(f"The reward model {name!r} cannot be loaded: {error}") from error
        _check_loaded(name, loaded)
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


def _check_loaded(name: str, loaded: Mapping[str, Any]) -> None:
    # Pairs of names and shapes, for those of another size.
    wrong = {key if isinstance(key, str) else key[0] for key in loaded["mismatched_keys"]}
    missing = sorted(set(loaded["missing_keys"]) | wrong)
    if missing:
        shown = ", ".join(missing[:4]) + (f" and {len(missing) - 4} more" if missing[4:] else "")
        raise RewardError(
            f"The weights of {name!r} lack {shown}, or hold them in another size: it is no reward "
            "model. Give one trained by `latent-tts train-rm` or a released LatentRM."
        )

"""Find the reward model of a checkpoint and load it, or begin one from a backbone."""

import copy
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, PreTrainedTokenizerBase

from ..models import LatentBackbone, ModelError, load_tokenizer, resolve_checkpoint
from ..models.identity import checkpoint_digest
from ..models.weights import load_weights
from .checks import check_fit
from .errors import RewardError
from .model import ENDING, UNNAMED, LatentRewardHead, reward_class

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

        The head is drawn from torch's global generator; `transformers.set_seed` fixes it. The
        model's class, and its config as `latent_backbone` and `latent_backbone_class`, say whose
        thoughts it is for.

        Args:
            backbone: a `LatentBackbone`.

        Returns:
            A `PreTrainedModel` with `score`, in evaluation mode, without any dropout.
        """
        name = f"{type(backbone).__name__}{ENDING}"
        kind: Any = reward_class(type(backbone.config), name)
        # A copy, because saving writes the architecture into it; without dropout, because a reward
        # model is trained with none.
        config = copy.deepcopy(backbone.config)
        config.update({name: 0.0 for name in _DROPOUTS if hasattr(config, name)})
        config.latent_backbone = checkpoint_digest(backbone)
        config.latent_backbone_class = type(backbone).__name__
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
    tokenizer: PreTrainedTokenizerBase,
    *,
    revision: str = "main",
    of_another: bool = False,
) -> None:
    """Make sure that a reward model reads a backbone's prompts and thoughts as it was trained to.

    Args:
        backbone: a `LatentBackbone`.
        model: the reward model.
        tokenizer: the backbone's.
        revision: of the reward model's hub repository.
        of_another: accept, with a warning, one that was trained on another backbone.

    Raises:
        RewardError: another hidden size, number of tokens or tokenizer, or one that was trained on
            other weights or for another kind of backbone. One that does not say so is warned of,
            and one whose backbone was loaded in a precision that cannot tell.
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
    _check_trained_on(backbone, model, of_another=of_another)


def _check_trained_on(
    backbone: LatentBackbone, model: LatentRewardHead, *, of_another: bool
) -> None:
    """Compare the backbone with that whose thoughts the reward model learned from."""
    digest, kind = checkpoint_digest(backbone), type(backbone).__name__
    recorded = getattr(model.config, "latent_backbone", None)
    named = getattr(model.config, "latent_backbone_class", None)
    # Without a record, a released reward model's class still says for which method it is.
    own = type(model).__name__.removesuffix(ENDING)
    trunk = type(model.base_model).__name__.removesuffix("Model")
    other_kind = (named or own) != kind and (named is not None or own != f"{UNNAMED}{trunk}")
    named = named or own
    if digest == recorded and not other_kind:
        return
    is_known = recorded is not None and backbone.dtype == torch.float32
    if (other_kind or is_known) and not of_another:
        weights = "" if recorded is None else f" with weights {recorded}"
        raise RewardError(
            f"The reward model {model.name_or_path!r} was trained on the thoughts of {named}"
            f"{weights}, but the backbone {backbone.name_or_path!r} is {kind} with weights "
            f"{digest}: its rewards would mean nothing. Give a reward model that was trained on "
            "this backbone, or, where you know that it fits, any_reward_model=true."
        )
    if recorded is None:
        why = "does not say on which backbone it was trained"
    elif of_another:
        why = "was trained on another backbone"
    else:
        why = f"may have been trained on other weights, which {backbone.dtype} cannot tell"
    logger.warning(
        "The reward model %r %s: its rewards mean something for the thoughts of that one alone, "
        "not necessarily for those of %r.",
        model.name_or_path,
        why,
        backbone.name_or_path,
    )

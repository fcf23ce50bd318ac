"""What one process loads and keeps: a backbone, its tokenizer, and a reward model."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from transformers import PreTrainedTokenizerBase

from ..models import LatentSettings, tokenizer_of
from ..models.generation import GeneratesLatents
from ..reward import LatentRewardModel
from ..reward.auto import check_pair
from ..reward.model import LatentRewardHead
from .arguments import NO_STORE, ModelArguments
from .lm_eval_seam import logger
from .nearest import NearestTokens
from .stores import Stores
from .writable import check_writable


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """What samples are made with.

    Attributes:
        arguments: what was asked for.
        model: the backbone.
        tokenizer: the backbone's.
        reward_model: scores every candidate; None for no rewards.
        stores: where finished samples are kept, if anywhere.
        nearest: finds the tokens that thoughts are near to, where they are asked for.
    """

    arguments: ModelArguments
    model: GeneratesLatents
    tokenizer: PreTrainedTokenizerBase
    reward_model: LatentRewardHead | None
    stores: Stores | None = None
    nearest: NearestTokens | None = None

    @property
    def mixtures(self) -> bool:
        """Whether the tokens of which thoughts are mixed go into the store and the log."""
        return self.arguments.store_thoughts and self.model.mixing is not None

    def describe(self, settings: LatentSettings) -> str:
        """Return in one line what is run, and under which settings."""
        model, own = self.model, settings.record()
        sampler = "deterministic thoughts"
        if settings.latent_do_sample:
            strength = own["sampler_strength"]
            value = f" ({strength}={own[strength]:g})" if strength else ""
            sampler = f"sampled by {own['latent_do_sample_by']}{value}"
        answers = f", answers at temperature {settings.temperature:g}" if settings.do_sample else ""
        scored = f", scored by {self.arguments.reward_model}" if self.reward_model else ""
        beams = f", {settings.beams[0]} beams of {settings.beams[1]}" if settings.beams else ""
        adapter = f" with {self.arguments.adapter}" if self.arguments.adapter else ""
        upto = "" if settings.latent_length is not None else "up to "
        return (
            f"{model.backbone} {self.arguments.pretrained}{adapter}, "
            f"{str(model.dtype).removeprefix('torch.')} on {model.device}: "
            f"N = {settings.num_return_sequences} {sampler}{answers}{beams}{scored}, "
            f"{upto}{settings.thought_limit} thoughts, seed {settings.seed}"
        )


def load(
    arguments: ModelArguments, device: torch.device, latent_length: int | None = None
) -> Loaded:
    """Load what a command line asks for.

    Args:
        arguments: of the model.
        device: where to.
        latent_length: number of thoughts in --model_args, which some layouts' files do not say.

    Raises:
        ModelError: an unusable checkpoint.
        RewardError: an unusable reward model, or one that does not fit the backbone.
    """
    model: GeneratesLatents = arguments.load(
        arguments.pretrained,
        latent_length=latent_length,
        dtype=arguments.dtype,
        device_map=str(device),
        ignore_weights=arguments.ignore_weights,
    )
    if arguments.revision != "main" and Path(model.name_or_path).is_dir():
        logger.warning(
            "revision=%s has no effect: %s is no repository of the hub.",
            arguments.revision,
            arguments.pretrained,
        )
    model.engine_options = arguments.engine()
    tokenizer = tokenizer_of(model)
    reward_model = _load_reward_model(arguments, model, tokenizer)
    count, nearest, stores = arguments.nearest_tokens, None, None
    if count:
        nearest = NearestTokens(model, tokenizer, count)
    if arguments.store not in (None, NO_STORE):
        root = Path(str(arguments.store)).expanduser()
        check_writable(root, asked=f"store={root}")
        stores = Stores(
            root,
            model,
            reward_model,
            keep_thoughts=arguments.store_thoughts or nearest is not None,
            need_thoughts=nearest is not None,
            need_mixtures=arguments.store_thoughts and model.mixing is not None,
        )
    return Loaded(
        arguments=arguments,
        model=model,
        tokenizer=tokenizer,
        reward_model=reward_model,
        stores=stores,
        nearest=nearest,
    )


def _load_reward_model(
    arguments: ModelArguments, model: GeneratesLatents, tokenizer: PreTrainedTokenizerBase
) -> LatentRewardHead | None:
    if arguments.reward_model is None:
        return None
    revision = arguments.reward_revision
    loaded = LatentRewardModel.from_pretrained(
        arguments.reward_model,
        revision=revision,
        dtype=model.dtype,
        ignore_weights=arguments.ignore_weights,
    )
    check_pair(model, loaded, tokenizer, revision=revision, of_another=arguments.any_reward_model)
    loaded.engine_options = model.engine_options
    return nn.Module.to(loaded, model.device)

"""The model of a run, loaded again as the run asked it."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from transformers import PreTrainedTokenizerBase

from ..models import LatentSettings, tokenizer_of
from ..models.settings import setting_names
from ..results import ResultsError, RunConfig
from .checkpoint import CheckpointOptions
from .provenance import checkpoint_record

# Of a record's settings, what comes from others or is no setting of samples.
_NOT_GIVEN = ("num_beams", "num_beam_candidates")
_SPEED = re.compile(r"\(Thinking speed: (\w+)\)")


def load_run_model(
    config: RunConfig, pretrained: str | None = None
) -> tuple[Any, PreTrainedTokenizerBase]:
    """Return the backbone of a run and its tokenizer, loaded by all that the run was told.

    Args:
        config: of the run.
        pretrained: the backbone, where the run names one that is not here.

    Raises:
        ModelError: it cannot be loaded.
        ResultsError: it asks questions in another prompt format than the run did, or its files
            are others.
    """
    asked, name = config.prompt_format, pretrained or config.named or config.checkpoint
    options = _options(config)
    model = _load(config, name, options)
    speed = _SPEED.search(asked or "") if config.backbone == "colar" else None
    if speed and model.format_prompt("{question}") != asked:
        options = replace(options, thinking_speed=speed[1])
        model = _load(config, name, options)
    tokenizer = tokenizer_of(model)
    own = model.format_prompt("{question}")
    if asked is not None and own != asked:
        raise ResultsError(
            f"The run asked {asked!r}, and {name} asks {own!r}: its "
            "samples are of other prompts. Name the checkpoint that the run used, as it was then."
        )
    _check_files(config, model, name, options, moved=pretrained is not None)
    return model, tokenizer


def _options(config: RunConfig) -> CheckpointOptions:
    """Return what the run said of its checkpoint; what was recorded of it, where it said nothing.

    A commit of the hub is more exact than the branch that was asked for.
    """
    told: Mapping[str, object] = config.parts if config.model_args is None else config.model_args
    own = {"backbone": config.backbone, "revision": config.revision}
    numbers = {k: float(str(v)) for k in ("lora_alpha", "embeds_std") if (v := told.get(k))}
    return CheckpointOptions.among({**told, **numbers, **{k: v for k, v in own.items() if v}})


def _load(config: RunConfig, name: str, options: CheckpointOptions) -> Any:
    told = config.model_args or {}
    length: Any = told.get("latent_length")
    return options.load(
        name,
        latent_length=None if length is None else int(length),
        dtype=(config.dtype or "").removeprefix("torch.") or None,
        ignore_weights=told.get("ignore_weights") or config.parts.get("ignore_weights") or (),
    )


def _check_files(
    config: RunConfig, model: Any, name: str, options: CheckpointOptions, *, moved: bool
) -> None:
    """Refuse a model of other files than the run recorded.

    Args:
        config: of the run.
        model: that was loaded for it.
        name: of what was loaded.
        options: by which it was loaded.
        moved: whether the checkpoint itself was named anew, and may be in another layout now; the
            store knows its weights.

    Raises:
        ResultsError: says which part differs.
    """
    found = checkpoint_record(model, name, options.revision)
    was = {"weights_sha256": config.weights_sha256, **config.parts}
    for part in ("weights", "base", "base_tokenizer", "adapter"):
        then, now = (record.get(f"{part}_sha256") for record in (was, found))
        if then is not None and then != now and not (moved and part == "weights"):
            raise ResultsError(
                f"The {part.replace('_', ' ')} of {name} has the digest {str(now)[:12]}, and the "
                f"run was made with {then[:12]}: its samples are another model's. Bring back the "
                "files that the run used."
            )


def run_settings(model: Any, config: RunConfig) -> LatentSettings:
    """Return the settings of a run's samples, by which a store knows them; without beams.

    Args:
        model: of the run.
        config: likewise.
    """
    known = set(setting_names()) - set(_NOT_GIVEN)
    given = {k: v for k, v in config.settings.items() if k in known and v is not None}
    settings: LatentSettings = model.settings(**given)
    return settings

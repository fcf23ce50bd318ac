"""A folder of a peft adapter that is given as a checkpoint: its base, with the adapter added."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from .adapters import Adapter
from .backbones import BACKBONES
from .errors import ModelError
from .formats import SourceOptions, open_source
from .formats.asked import known_length
from .formats.hub import commit_of, folder_of, tokens_of
from .generation_config import LatentGenerationConfig
from .joined import named_backbone
from .names import resolve_checkpoint
from .origin import Origin
from .released import load_released
from .side_files import load_config


def load_adapter_folder(adapter: Adapter, options: SourceOptions, kwargs: Mapping[str, Any]) -> Any:
    """Return the model of a folder that holds an adapter and not its base.

    The base is a latent reasoner in the released format, or a plain language model that the
    adapter lets think by a method.

    Args:
        adapter: in the folder.
        options: what the user said of it.
        kwargs: for `load_released`.

    Raises:
        ModelError: no base, no method, no number of thoughts, or an adapter that does not fit.
    """
    base = adapter.base(options.base)
    name = resolve_checkpoint(base)
    if Path(name).is_file():
        raise ModelError(f"base={base!r} is a file; give the base's folder or hub id.")
    if open_source(name) is not None:
        raise ModelError(
            f"base={base!r} is neither a language model nor a latent reasoner in the released "
            "format. What a training program left is written so by latent-tts convert; give that "
            "folder."
        )
    if options.lora_alpha is not None:
        raise ModelError(
            f"lora_alpha={options.lora_alpha:g} has no meaning for {adapter.name!r}, a peft "
            "adapter, whose adapter_config.json says it. Leave it out."
        )
    method = named_backbone(load_config(name, "main"))
    if method is None:
        _check_plain(adapter, options, base)
    own = replace(options, base=None)
    model = load_released(name, options=own, **{**kwargs, "revision": "main"})
    dtype = model.dtype
    if method is None:  # a language model's own settings are not for thoughts
        model.generation_config = LatentGenerationConfig(
            eos_token_id=model.generation_config.eos_token_id, latent_length=options.latent_length
        )
    model = adapter.merge_into(model.float()).to(dtype)
    model.name_or_path = adapter.name
    model.origin = _origin(adapter, model.origin, base)
    return model


def _check_plain(adapter: Adapter, options: SourceOptions, base: str) -> None:
    """Raise ModelError unless it is said how an adapter over a language model thinks."""
    if options.backbone is None:
        raise ModelError(
            f"{adapter.name!r} is a peft adapter over {base!r}, a plain language model: say by "
            "which method it thinks, as backbone=coconut."
        )
    method = BACKBONES[options.backbone]
    if not method.chooses_length and method.latent_defaults.get("latent_length") != 0:
        known_length(options, adapter.name)


def _origin(adapter: Adapter, origin: Origin, base: str) -> Origin:
    """Return the origin of an adapter's folder, from that of its base with the adapter."""
    folder = folder_of(resolve_checkpoint(base))
    commits = {"weights": commit_of(adapter.folder), "base": origin.commits.get("weights")}
    return Origin(
        layout="a peft adapter (adapter_config.json)",
        files={
            "weights": adapter.files,
            "base": origin.files["weights"],
            "base_tokenizer": tokens_of(folder),
        },
        names={"base": base},
        commits={part: commit for part, commit in commits.items() if commit is not None},
        found=origin.found,
        left_out=origin.left_out,
    )

"""Checkpoints in the released format, or of a plain language model that thinks by a method."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from transformers import GenerationConfig

from .adapted import load_adapted, read_base
from .errors import ModelError
from .formats import SourceOptions
from .formats.gate import gate_error, gated_class
from .formats.hub import commit_of, folder_of, weights_of
from .joined import backbone_class
from .names import resolve_checkpoint
from .origin import Origin
from .side_files import load_config, load_generation_config, load_tokenizer
from .weights import load_weights

# Options -> fields of config.json that they change.
_FIELDS = {"thinking_speed": "thinking_speed", "embeds_std": "latent_embedding_std"}


def load_released(
    name: str,
    revision: str,
    options: SourceOptions,
    ignore_weights: str | Sequence[str],
    **kwargs: Any,
) -> Any:
    """Return the model of a checkpoint in the released format.

    Args:
        name: a folder or a hub id.
        revision: of a hub repository.
        options: what the user said of it.
        ignore_weights: names of weights that may be left unread.
        **kwargs: for transformers' `from_pretrained`.

    Raises:
        ModelError: it cannot be loaded, or an option has no meaning for it.
    """
    config = load_config(name, revision)
    gated = gated_class(config.to_dict())
    if gated is not None and options.backbone is None:
        raise gate_error(name, [gated], config.to_dict())
    kind: Any = backbone_class(name, config, options.backbone)
    stored = load_generation_config(name, revision)
    adapted = Path(name, "adapter_config.json").is_file()
    load: Callable[..., Any] = load_adapted if adapted else load_weights
    model = load(
        kind,
        name,
        what="checkpoint",
        advice="Its config.json may belong to another checkpoint, or it is of another backbone "
        "(name the right one with backbone=).",
        error=ModelError,
        revision=revision,
        ignore_weights=ignore_weights,
        config=config,
        # Kept from reading the file with its own class, which refuses N greedy answers.
        generation_config=None if stored is None else GenerationConfig(),
        **kwargs,
    )
    if stored is not None:
        model.generation_config = stored
    model.tokenizer = load_tokenizer(name, revision, missing_ok=True)
    model.origin = _origin(model, name, revision)
    _apply(options, model)
    return model


def _origin(model: Any, name: str, revision: str) -> Origin:
    folder = folder_of(name, revision)
    commit = getattr(model.config, "_commit_hash", None) or commit_of(folder)
    commits = {} if commit is None else {"weights": commit}
    base = read_base(name) if Path(name).is_dir() else None
    if base is None:
        return Origin(files={"weights": weights_of(folder)}, commits=commits)
    files = {
        "weights": weights_of(folder),
        "base": weights_of(Path(resolve_checkpoint(base["name"]))),
    }
    return Origin(files=files, names={"base": base["name"]}, commits=commits)


def _apply(source: SourceOptions, model: Any) -> None:
    """Let a released checkpoint think at another speed, or another number of thoughts.

    Raises:
        ModelError: an option that has no meaning for it.
    """
    for name, value in source.given().items():
        if name == "backbone":
            continue
        if name == "latent_length":
            model.generation_config.latent_length = value
            model.generation_config.max_latent_length = None
            continue
        if name not in _FIELDS or model.backbone != "colar":
            raise ModelError(
                f"{name}={value!r} says of files of a training program what they leave out; "
                f"{model.name_or_path!r} is a {model.backbone} checkpoint in the released format, "
                "whose config.json has it. Leave it out."
            )
        setattr(model.config, _FIELDS[name], value)

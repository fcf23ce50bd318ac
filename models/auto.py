"""Find the backbone of a checkpoint and load it."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, GenerationConfig

from .adapted import load_adapted
from .backbones import BACKBONES
from .backbones.tokens import LatentTokens
from .errors import ModelError
from .formats import Checkpoint, SourceOptions, open_source
from .formats import read as read_source
from .generation_config import LatentGenerationConfig
from .joined import backbone_class, latent_class
from .merge import load_adapter
from .names import resolve_checkpoint
from .precision import choose_dtype
from .side_files import load_config, load_generation_config, load_tokenizer
from .weights import load_weights


class AutoLatentModel:
    """Loads the right backbone; not to be instantiated."""

    def __init__(self) -> None:
        """Refuse, as transformers' Auto classes do."""
        raise TypeError("Use AutoLatentModel.from_pretrained(path_or_id).")

    @staticmethod
    def from_pretrained(
        path_or_id: str | Path,
        *,
        backbone: str | None = None,
        adapter: str | Path | None = None,
        source: SourceOptions | None = None,
        dtype: str | torch.dtype | None = None,
        device_map: Any = None,
        revision: str = "main",
        ignore_weights: str | Sequence[str] = (),
        **kwargs: Any,
    ) -> Any:
        """Load a checkpoint in the released format, or as a training program left it.

        Args:
            path_or_id: a folder, a file, a hub id, or the name of a checkpoint that ships
                (`tiny-coconut`).
            backbone: a name in `BACKBONES`; found from config.json's `architectures` if None.
            adapter: a folder or hub id of a peft adapter of this checkpoint, read on top of it.
            source: what the files of some training programs do not say (`models.formats`).
            dtype: None or "auto" is float32 on CPU (bf16 is two orders slower on CPUs without it),
                and elsewhere the checkpoint's own.
            device_map: as in transformers, but all weights on one device.
            revision: of a hub repository.
            ignore_weights: names of weights in the files that the backbone may leave unread, with
                `*` for any characters; several in a list, or joined by `+`.
            **kwargs: for transformers' `from_pretrained`.

        Returns:
            A `PreTrainedModel` that is a `LatentBackbone`, in evaluation mode.

        Raises:
            ModelError: no such checkpoint or adapter, an unknown architecture, one without latent
                tokens, weights that are missing or that nobody reads, or a device_map of several
                devices.
        """
        name = resolve_checkpoint(str(path_or_id))
        kwargs |= {"dtype": choose_dtype(dtype, device_map), "device_map": device_map}
        options = replace(source or SourceOptions(), backbone=backbone)
        foreign = open_source(name, revision)
        if foreign is None:
            model = _of_released(name, revision, options, ignore_weights, **kwargs)
        else:
            model = model_of(read_source(foreign, options), name, ignore_weights, **kwargs)
        _refuse_scattered_weights(model, device_map)
        if adapter is not None:
            load_adapter(model, str(adapter))
        model.latent_tokens = LatentTokens.find(model, model.tokenizer)
        return model.eval()


def _of_released(
    name: str,
    revision: str,
    options: SourceOptions,
    ignore_weights: str | Sequence[str],
    **kwargs: Any,
) -> Any:
    """Return the model of a checkpoint in the released format."""
    config = load_config(name, revision)
    kind: Any = backbone_class(name, config, options.backbone)
    stored = load_generation_config(name, revision)
    adapted = Path(name, "adapter_config.json").is_file()
    load: Callable[..., Any] = load_adapted if adapted else load_weights
    model = load(
        kind,
        name,
        what="checkpoint",
        advice="It was not saved completely, its config.json belongs to another checkpoint, or "
        "it is of another backbone (name the right one with backbone=).",
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
    _apply(options, model)
    return model


def _apply(source: SourceOptions, model: Any) -> None:
    """Let a released checkpoint think at another speed.

    Raises:
        ModelError: an option that has no meaning for it.
    """
    given = {name: value for name, value in vars(source).items() if value is not None}
    fields = {"thinking_speed": "thinking_speed", "embeds_std": "latent_embedding_std"}
    for name, value in given.items():
        if name in ("backbone", "latent_length"):
            continue
        if name not in fields or model.backbone != "colar":
            raise ModelError(
                f"{name}={value!r} says of files of a training program what they leave out; "
                f"{model.name_or_path!r} is a {model.backbone} checkpoint in the released format, "
                "whose config.json has it. Leave it out."
            )
        setattr(model.config, fields[name], value)


def model_of(
    checkpoint: Checkpoint, name: str, ignore_weights: str | Sequence[str] = (), **kwargs: Any
) -> Any:
    """Return the model of a checkpoint that was read in another layout.

    Args:
        checkpoint: read by `models.formats`.
        name: of the source, for messages and records.
        ignore_weights: names of weights that may be left unread.
        **kwargs: for transformers' `from_pretrained`.
    """
    trunk: Any = MODEL_FOR_CAUSAL_LM_MAPPING[type(checkpoint.config)]
    model: Any = load_weights(
        latent_class(BACKBONES[checkpoint.method], trunk),
        name,
        what="checkpoint",
        advice="Its layout is not the one that its names of weights suggest.",
        error=ModelError,
        ignore_weights=ignore_weights,
        config=checkpoint.config,
        state_dict=dict(checkpoint.weights),
        **kwargs,
    )
    model.generation_config = LatentGenerationConfig(
        eos_token_id=checkpoint.tokenizer.eos_token_id, **checkpoint.generation
    )
    model.tokenizer = checkpoint.tokenizer
    model.weight_files = dict(checkpoint.files)
    model.commit, model.base_commit = checkpoint.commit, checkpoint.base_commit
    return model


def _refuse_scattered_weights(model: Any, device_map: Any) -> None:
    devices = sorted({str(weight.device) for weight in model.parameters()})
    if len(devices) > 1 or "meta" in devices:  # where a weight that is kept elsewhere seems to be
        raise ModelError(
            f"device_map={device_map!r} puts the weights on {' and '.join(devices)}; the engine "
            "reads on one device. Give one, as device_map=cuda:0 or cpu; to use several GPUs, "
            "start a process for each with `accelerate launch -m lm_eval …`."
        )

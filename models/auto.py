"""Find the backbone of a checkpoint and load it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from transformers import MODEL_FOR_CAUSAL_LM_MAPPING

from .adapter_folder import load_adapter_folder
from .adapters import Adapter, is_adapter
from .backbones import BACKBONES
from .backbones.tokens import LatentTokens
from .errors import ModelError
from .formats import Checkpoint, SourceOptions, open_source
from .formats import read as read_source
from .generation_config import LatentGenerationConfig
from .joined import latent_class
from .names import resolve_checkpoint
from .origin import Origin
from .precision import choose_dtype
from .released import load_released
from .weights import load_weights, read_patterns


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
                (`tiny-coconut`). A folder of a peft adapter is read with its base.
            backbone: a name in `BACKBONES`; found from config.json's `architectures` if None.
            adapter: a folder or hub id of a peft adapter of this checkpoint, added to its weights.
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
        options = _with_backbone(source or SourceOptions(), backbone)
        adapters = [] if adapter is None else [Adapter.find(str(adapter))]
        kwargs |= {"dtype": choose_dtype(dtype, device_map), "device_map": device_map}
        kwargs |= {"revision": revision, "ignore_weights": ignore_weights}
        model = _load(name, options, adapters, kwargs)
        _refuse_scattered_weights(model, device_map)
        model.latent_tokens = LatentTokens.find(model, model.tokenizer)
        return model.eval()


def _with_backbone(source: SourceOptions, backbone: str | None) -> SourceOptions:
    """Return the options with the backbone that was named, here or there.

    Raises:
        ModelError: two, and not the same.
    """
    if backbone is None:
        return source
    if source.backbone not in (None, backbone):
        raise ModelError(f"backbone={backbone!r}, but source says backbone={source.backbone!r}.")
    return replace(source, backbone=backbone)


def _load(
    name: str, options: SourceOptions, adapters: Sequence[Adapter], kwargs: Mapping[str, Any]
) -> Any:
    """Return the model of a checkpoint with adapters added to its weights."""
    source = open_source(
        name, kwargs["revision"], read_patterns(kwargs["ignore_weights"], ModelError)
    )
    alone = source is not None and is_adapter(source.root)
    wanted = kwargs["dtype"]
    if (adapters or alone) and wanted != "auto":  # to be rounded once, after they are added
        kwargs = {**kwargs, "dtype": torch.float32}
    if source is None:
        model = load_released(name, options=options, **kwargs)
    elif alone:
        model = load_adapter_folder(Adapter(name, source.root), options, kwargs)
    else:
        model = _of_source(read_source(source, options), name, kwargs)
    own = model.dtype if wanted == "auto" else wanted
    for each in adapters:
        model = each.merge_into(model.float())
    return model.to(own) if adapters or alone else model


def _of_source(checkpoint: Checkpoint, name: str, kwargs: Mapping[str, Any]) -> Any:
    """Return the model of a checkpoint that was read in another layout."""
    trunk: Any = MODEL_FOR_CAUSAL_LM_MAPPING[type(checkpoint.config)]
    model: Any = load_weights(
        latent_class(BACKBONES[checkpoint.method], trunk),
        name,
        what="checkpoint",
        advice="Its layout is not the one that its names of weights suggest.",
        error=ModelError,
        config=checkpoint.config,
        state_dict=dict(checkpoint.weights),
        **kwargs,
    )
    model.generation_config = LatentGenerationConfig(
        eos_token_id=checkpoint.tokenizer.eos_token_id, **checkpoint.generation
    )
    model.tokenizer = checkpoint.tokenizer
    commits = {"weights": checkpoint.commit, "base": checkpoint.base.commit}
    model.origin = Origin(
        layout=checkpoint.layout,
        files={"weights": checkpoint.files, **checkpoint.base.files()},
        names={"base": checkpoint.base.name},
        commits={part: commit for part, commit in commits.items() if commit is not None},
        found=checkpoint.found,
        left_out=checkpoint.left_out,
    )
    return model


def _refuse_scattered_weights(model: Any, device_map: Any) -> None:
    devices = sorted({str(weight.device) for weight in model.parameters()})
    if len(devices) > 1 or "meta" in devices:  # where a weight that is kept elsewhere seems to be
        raise ModelError(
            f"device_map={device_map!r} puts the weights on {' and '.join(devices)}; the engine "
            "reads on one device. Give one, as device_map=cuda:0 or cpu; to use several GPUs, "
            "start a process for each with `accelerate launch -m lm_eval …`."
        )

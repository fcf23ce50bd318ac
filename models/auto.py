"""Find the backbone of a checkpoint and load it."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    AutoConfig,
    AutoTokenizer,
    GenerationConfig,
    GPT2LMHeadModel,
    LlamaForCausalLM,
    PreTrainedTokenizerBase,
)

from .adapted import load_adapted
from .backbones import BACKBONES, Coconut, Codi, Colar, LatentBackbone
from .backbones.tokens import LatentTokens
from .errors import ModelError
from .formats import Checkpoint, SourceOptions, open_source
from .formats import read as read_source
from .generation import GeneratesLatents
from .names import resolve_checkpoint
from .precision import read_dtype
from .settings import LatentGenerationConfig
from .weights import load_weights


@cache
def latent_class(method: type[LatentBackbone], model: type) -> type:
    """Join a method of latent reasoning and a causal language model of transformers.

    The class's name is the method's prefix and the model's name without its ending, as released
    checkpoints have it under `architectures`: `COCONUTGPT2`, `CODIGPT2`, `ColarLlama`,
    `COCONUTQwen2`.

    Args:
        method: such as `Coconut`.
        model: such as `GPT2LMHeadModel`.

    Returns:
        A `PreTrainedModel` that is a `LatentBackbone` and has `generate` and `settings`.
    """
    name = _class_name(method, model)
    words = f"{method.__name__} on {model.__name__}."
    return type(name, (GeneratesLatents, method, model), {"__module__": __name__, "__doc__": words})


def _class_name(method: type[LatentBackbone], model: type) -> str:
    trunk = re.sub("(LMHeadModel|ForCausalLM)$", "", model.__name__)
    return f"{method.class_prefix or method.__name__}{trunk}"


COCONUTGPT2: Any = latent_class(Coconut, GPT2LMHeadModel)
CODIGPT2: Any = latent_class(Codi, GPT2LMHeadModel)
ColarLlama: Any = latent_class(Colar, LlamaForCausalLM)


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
        if dtype in (None, "auto"):
            where = str(device_map).partition(":")[0]
            on_cpu = where in ("None", "cpu") or not torch.cuda.is_available()
            dtype = torch.float32 if on_cpu else "auto"
        if dtype != "auto":
            dtype = read_dtype(dtype, also="auto, ")
        kwargs |= {"dtype": dtype, "device_map": device_map}
        foreign = open_source(name, revision)
        if foreign is not None:
            checkpoint = read_source(foreign, replace(source or SourceOptions(), backbone=backbone))
            model: Any = model_of(checkpoint, name, ignore_weights, **kwargs)
            tokenizer: Any = checkpoint.tokenizer
            model.weight_files = dict(checkpoint.files)
            model.commit, model.base_commit = checkpoint.commit, checkpoint.base_commit
        else:
            model = _of_released(name, revision, backbone, ignore_weights, **kwargs)
            tokenizer = load_tokenizer(name, revision, missing_ok=True)
            _apply(source or SourceOptions(), model)
        _refuse_scattered_weights(model, device_map)
        if adapter is not None:
            _load_adapter(model, str(adapter))
        model.tokenizer = tokenizer
        model.latent_tokens = LatentTokens.find(model, tokenizer)
        return model.eval()


def _of_released(
    name: str,
    revision: str,
    backbone: str | None,
    ignore_weights: str | Sequence[str],
    **kwargs: Any,
) -> Any:
    """Return the model of a checkpoint in the released format."""
    config = _load(AutoConfig, name, revision)
    kind: Any = _backbone_class(name, config, backbone)
    stored = _generation_config(name, revision)
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
    return model


def load_tokenizer(
    path_or_id: str | Path,
    revision: str = "main",
    *,
    missing_ok: bool = False,
) -> PreTrainedTokenizerBase | None:
    """Load a checkpoint's tokenizer, padding on the left; pad is eos where there is none.

    Raises:
        ModelError: there is none, unless `missing_ok`.
    """
    name = resolve_checkpoint(str(path_or_id))
    folder = Path(name)
    if missing_ok and folder.is_dir() and not [*folder.glob("*token*"), *folder.glob("vocab*")]:
        return None
    tokenizer = _load(AutoTokenizer, name, revision, padding_side="left")
    if not tokenizer.encode("1", add_special_tokens=False):
        # Where the files are missing, transformers makes some kinds of tokenizers empty.
        raise ModelError(
            f"The checkpoint {name!r} (revision {revision!r}) has no tokenizer. Put its "
            "tokenizer.json beside its config.json."
        )
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def tokenizer_of(model: LatentBackbone) -> PreTrainedTokenizerBase:
    """Return the tokenizer that a model was loaded with.

    Raises:
        ModelError: its checkpoint has none.
    """
    if model.tokenizer is None:
        raise ModelError(
            f"The checkpoint {model.name_or_path!r} has no tokenizer. Put its tokenizer.json "
            "beside its config.json."
        )
    return model.tokenizer


def _generation_config(name: str, revision: str) -> GenerationConfig | None:
    """Return what generation_config.json says, None where there is none.

    Raises:
        ModelError: the file says what transformers does not accept.
    """
    try:
        return LatentGenerationConfig.from_pretrained(name, revision=revision)
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and not Path(name, "generation_config.json").is_file():
            return None
        raise ModelError(
            f"The generation_config.json of the checkpoint {name!r} cannot be used: {error}"
        ) from error


def _refuse_scattered_weights(model: Any, device_map: Any) -> None:
    devices = sorted({str(weight.device) for weight in model.parameters()})
    if len(devices) > 1 or "meta" in devices:  # where a weight that is kept elsewhere seems to be
        raise ModelError(
            f"device_map={device_map!r} puts the weights on {' and '.join(devices)}; the engine "
            "reads on one device. Give one, as device_map=cuda:0 or cpu; to use several GPUs, "
            "start a process for each with `accelerate launch -m lm_eval …`."
        )


def _load(auto: Any, name: str, revision: str, **kwargs: Any) -> Any:
    try:
        return auto.from_pretrained(name, revision=revision, **kwargs)
    except (OSError, ValueError, KeyError) as error:
        what = auto.__name__.removeprefix("Auto").lower()
        raise ModelError(
            f"The {what} of the checkpoint {name!r} (revision {revision!r}) cannot be loaded: "
            f"{error}"
        ) from error


def _backbone_class(name: str, config: Any, backbone: str | None) -> type:
    """Return the class of a checkpoint: named by its config, or by the user over its model."""
    architectures = config.architectures or []
    if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        raise ModelError(
            f"The checkpoint {name!r} is a {config.model_type} model, which transformers knows as "
            "no causal language model. Give one of those."
        )
    model: Any = MODEL_FOR_CAUSAL_LM_MAPPING[type(config)]
    methods = BACKBONES.usable()
    named = [key for key, method in methods.items() if _class_name(method, model) in architectures]
    if backbone is not None:
        method = BACKBONES[backbone]
        if named and backbone not in named:
            raise ModelError(
                f"backbone={backbone!r}, but the checkpoint {name!r} says that it is "
                f"{named[0]}: its architectures are {architectures}. Leave backbone= out."
            )
        return latent_class(method, model)
    if named:
        return latent_class(BACKBONES[named[0]], model)
    known = ", ".join(f"{_class_name(method, model)} ({key})" for key, method in methods.items())
    raise ModelError(
        f"The checkpoint {name!r} has architectures {architectures}, none of them a latent "
        f"reasoner known here: {known}. If it is one of these under another name, say so with "
        "backbone=."
    )


def _load_adapter(model: Any, adapter: str) -> None:
    """Read a peft adapter into the model.

    Raises:
        ModelError: there is none, it belongs to another model, or peft is not installed.
    """
    try:
        found = model.load_adapter(adapter)
    except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
        raise ModelError(
            f"adapter={adapter!r} cannot be read: {error} Give the folder or hub id of a peft "
            f"adapter that was trained on {model.name_or_path!r}."
        ) from error
    lost = [*getattr(found, "unexpected_keys", ()), *getattr(found, "missing_keys", ())]
    if lost:
        raise ModelError(
            f"adapter={adapter!r} does not fit {model.name_or_path!r}: {', '.join(lost[:3])}. "
            "Give the adapter of this checkpoint."
        )

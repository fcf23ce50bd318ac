"""What lies beside a checkpoint's weights: config, tokenizer, generation settings."""

from pathlib import Path
from typing import Any

from transformers import (
    AutoConfig,
    AutoTokenizer,
    GenerationConfig,
    PreTrainedConfig,
    PreTrainedTokenizerBase,
)

from .adapted import read_base
from .backbones import LatentBackbone
from .errors import ModelError
from .generation_config import LatentGenerationConfig
from .names import resolve_checkpoint
from .text_part import text_part


def load_config(name: str, revision: str) -> PreTrainedConfig:
    """Return what config.json says; ModelError where it cannot be loaded."""
    config: PreTrainedConfig = _load(AutoConfig, name, revision)
    if config.get_text_config() is config or config.model_type.endswith("_vision"):
        return text_part(config, name)
    return config


def load_tokenizer(
    path_or_id: str | Path,
    revision: str = "main",
    *,
    missing_ok: bool = False,
) -> PreTrainedTokenizerBase | None:
    """Load a checkpoint's tokenizer, padding on the left; pad is eos where there is none.

    Adapters without one have their base's.

    Raises:
        ModelError: there is none, unless `missing_ok`; or no such base.
    """
    name = resolve_checkpoint(str(path_or_id))
    folder = Path(name)
    if folder.is_dir() and not [*folder.glob("*token*"), *folder.glob("vocab*")]:
        base = read_base(folder)
        if base is not None:
            return load_tokenizer(base["name"], missing_ok=missing_ok)
        if missing_ok:
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


def load_generation_config(name: str, revision: str) -> GenerationConfig | None:
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


def _load(auto: Any, name: str, revision: str, **kwargs: Any) -> Any:
    try:
        return auto.from_pretrained(name, revision=revision, **kwargs)
    except (OSError, ValueError, KeyError) as error:
        what = auto.__name__.removeprefix("Auto").lower()
        raise ModelError(
            f"The {what} of the checkpoint {name!r} (revision {revision!r}) cannot be loaded: "
            f"{error}"
        ) from error

"""The language model of a model that sees pictures too."""

from importlib import import_module
from typing import Any

from transformers import PreTrainedConfig

from .errors import ModelError

# Kinds of text parts that transformers has without a head -> the file here that has it.
_HEADED = {"qwen3_vl_text": "qwen3_vl"}


def text_part(config: PreTrainedConfig, name: str) -> PreTrainedConfig:
    """Return the config of the language model: itself, or its text part.

    Args:
        config: as transformers read it.
        name: of the checkpoint or base, for messages.

    Raises:
        ModelError: a part that sees, or a whole, without its text part.
    """
    stated: dict[str, Any] = {}
    if getattr(config, "vision_config", None) is not None:
        stated = PreTrainedConfig.get_config_dict(name)[0]
    if config.model_type.endswith("_vision") or (stated and "text_config" not in stated):
        raise ModelError(
            f"The config.json of {name!r} ({config.model_type}) describes what sees pictures, "
            "without its text part (text_config): nothing says how large its language model is. "
            "Give the whole model's config.json."
        )
    part: PreTrainedConfig = config.get_text_config()
    if part.model_type in _HEADED:
        import_module(f".{_HEADED[part.model_type]}", __package__)
    return part

"""Adapters of peft, added to the weights that they adapt."""

import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from peft import PeftConfig, PeftModel, get_peft_model_state_dict
from safetensors import SafetensorError
from torch import nn

from .errors import ModelError


@contextmanager
def quiet() -> Iterator[None]:
    """Silence peft, which asks models for a name that transformers will give up."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*")
        # It sets that by the module's kind, which is right.
        warnings.filterwarnings("ignore", message=".*fan_in_fan_out.*")
        # What becomes of a head that is tied to an adapted embedding is said below.
        warnings.filterwarnings("ignore", message=".*tie_word_embeddings.*")
        yield


def merge_adapters(
    model: Any, folder: str, name: str, stored: Collection[str] | None = None
) -> Any:
    """Return a model with adapters added to its weights.

    Args:
        model: of the base; changed in place.
        folder: of the adapters.
        name: of the base, for the message.
        stored: names of all weights of the adapters, where those that are missing or that nobody
            reads are to be refused.

    Raises:
        ModelError: they do not fit.
    """
    misfit = f"The adapters in {folder!r} do not fit {name!r}"
    try:
        with quiet():
            config = PeftConfig.from_pretrained(folder)
            config.inference_mode = True
            adapted = PeftModel(model, config)
            adapted.load_adapter(folder, "default")
            _untie(model, stored or ())
            wanted = set(get_peft_model_state_dict(adapted, save_embedding_layers=False))
            merged = adapted.merge_and_unload()
    except (OSError, SafetensorError) as error:
        raise ModelError(f"The adapters in {folder!r} cannot be read: {error}") from error
    except (ValueError, KeyError, RuntimeError, AttributeError, TypeError) as error:
        raise ModelError(f"{misfit}: {error}") from error
    if stored is not None:
        # With an embedding that has more rows, peft saves it, and the head, beside the adapters.
        tables = tuple(f".{part}." for part in _tables(model).values())
        lost = sorted(wanted - set(stored))
        lost += sorted(
            each for each in set(stored) - wanted if not any(part in each for part in tables)
        )
        if lost:
            raise ModelError(
                f"{misfit}: {', '.join(lost[:3])}. Give the adapter of this checkpoint."
            )
    _tie(merged)
    return merged


def _tables(model: Any) -> dict[str, str]:
    """Return the names of the modules of input embedding and head."""
    ends = {"input": model.get_input_embeddings(), "output": model.get_output_embeddings()}
    modules = list(model.named_modules())
    return {
        end: next(name for name, each in modules if each is module)
        for end, module in ends.items()
        if module is not None
    }


def _untie(model: Any, stored: Collection[str]) -> None:
    """Give the head weights of its own where only one of head and embedding has an update.

    Else merging would add the embedding's update to the head, which was trained without it.
    """
    adapted = {
        end
        for end, module in _tables(model).items()
        if any(f".{module}.lora_" in name for name in stored)
    }
    head, embedding = model.get_output_embeddings(), model.get_input_embeddings()
    if len(adapted) != 1 or head is None:
        return
    own, shared = (getattr(module, "base_layer", module) for module in (head, embedding))
    if own.weight is shared.weight:
        own.weight = nn.Parameter(shared.weight.detach().clone())
        model.config.get_text_config().tie_word_embeddings = False


def _tie(model: Any) -> None:
    """Let the config say whether head and embedding are one; what is equal stays so."""
    head, embedding = model.get_output_embeddings(), model.get_input_embeddings()
    config = model.config.get_text_config()
    if head is None or not config.tie_word_embeddings or head.weight is embedding.weight:
        return
    same = head.weight.shape == embedding.weight.shape and bool(
        (head.weight == embedding.weight).all()
    )
    if same:
        head.weight = embedding.weight
    else:
        config.tie_word_embeddings = False

"""Adapters of peft, added to the weights that they adapt."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from peft import PeftModel

from .errors import ModelError


@contextmanager
def quiet() -> Iterator[None]:
    """Silence peft, which asks models for a name that transformers will give up."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*")
        yield


def merge_adapters(model: Any, folder: str, name: str) -> Any:
    """Return a model with adapters added to its weights.

    Args:
        model: of the base; changed in place.
        folder: of the adapters.
        name: of the base, for the message.

    Raises:
        ModelError: they do not fit.
    """
    try:
        with quiet():
            return PeftModel.from_pretrained(model, folder).merge_and_unload()
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise ModelError(f"The adapters in {folder!r} do not fit {name!r}: {error}") from error


def load_adapter(model: Any, adapter: str) -> None:
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

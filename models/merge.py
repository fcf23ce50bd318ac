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

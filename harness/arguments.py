"""Arguments of lm-eval's command line that every model takes."""

import logging
import re

import torch

from ..models import ModelError

logger = logging.getLogger(__name__)


def read_batch_size(value: int | str | None, name: str = "batch_size") -> int | None:
    """Return questions in a batch, None for automatic.

    Raises:
        ModelError: neither a whole number of at least 1 nor `auto`.
    """
    text = str(value)
    if value is None or re.fullmatch(r"auto(:\d+(\.\d+)?)?", text):
        return None
    if not text.isdecimal() or int(text) < 1:
        raise ModelError(
            f"{name}={value!r}; allowed are whole numbers of at least 1 (questions in a "
            "batch) and auto."
        )
    return int(text)


def read_device(device: str | None) -> torch.device:
    """Return the device, the CPU where there is no accelerator.

    Raises:
        ModelError: no device of torch.
    """
    try:
        wanted = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    except RuntimeError as error:
        raise ModelError(
            f"device={device!r} is no device of torch; allowed are cpu, cuda, cuda:1 and the like."
        ) from error
    if wanted.type == "cuda" and not torch.cuda.is_available():
        logger.info("No %s here: using the CPU.", wanted)
        return torch.device("cpu")
    return wanted

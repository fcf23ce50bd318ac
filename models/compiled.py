"""A trunk compiled by torch, where the user asks for it and it can be."""

import logging
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import nn
from torch._dynamo.exc import TorchDynamoException

from .options import engine_options

logger = logging.getLogger(__name__)

# The compiled forward of each trunk and mode; None where compiling failed.
_compiled: WeakKeyDictionary[nn.Module, dict[str, Callable[..., Any] | None]] = WeakKeyDictionary()


def compiled(model: Any) -> Callable[..., Any] | None:
    """Return the model's trunk, compiled for any number of rows and positions.

    None where nobody asked for it, it failed, a gradient is kept, or hooks (of dropout, say) watch
    the trunk: compiled code would pass them by.
    """
    mode = engine_options(model).torch_compile
    trunk = model.base_model
    if not mode or torch.is_grad_enabled() or _hooked(trunk):
        return None
    name = "default" if mode is True else mode
    made = _compiled.setdefault(trunk, {})
    if name not in made:
        # The class's function: a bound one would keep its trunk from ever being freed.
        made[name] = torch.compile(type(trunk).forward, dynamic=True, mode=name)
    forward = made[name]
    if forward is None:
        return None

    def attempt(**inputs: Any) -> Any:
        groups = inputs["row_cache"].groups
        lengths = [group.length for group in groups]
        try:
            return forward(trunk, **inputs)
        except TorchDynamoException as error:
            for group, length in zip(groups, lengths, strict=True):
                group.length = length  # whatever was read before compiling failed is read again
            logger.warning("torch_compile=%s does not work here, going on without: %s", mode, error)
            made[name] = None
            return trunk(**inputs)

    return attempt


def _hooked(trunk: nn.Module) -> bool:
    if "forward" in vars(trunk):  # accelerate's hooks
        return True
    return any(module._forward_hooks or module._forward_pre_hooks for module in trunk.modules())

"""Weights held a second time, in the order that a CPU's kernel multiplies them in.

The kernel first copies a weight into blocks of its own order. For the few rows of a step that copy
costs as much as the product, so it is made once, while no gradient is kept.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

import torch
from torch import nn
from torch.nn.modules.module import _has_any_global_hook
from torch.optim.optimizer import Optimizer, register_optimizer_step_post_hook
from transformers.pytorch_utils import Conv1D

from ...backbones.protocol import Readable
from ..memory import free_memory

_LEAST_BYTES = 1 << 20  # of a weight that gains by it; smaller ones stay in the processor's cache
HEAD_TOKENS = 8192  # of the vocabulary at once: more need memory for logits, and gain nothing
_ROWS = 32  # that the blocks are laid out for
# Share of the free memory that the copies of a model's weights may take; as much again is left when
# keys and values have taken theirs.
_MEMORY_SHARE = 0.25
_COMPARED = 256  # numbers of a weight that are looked at to notice that it has changed


@dataclass(frozen=True)
class Packed:
    """Some rows of a linear layer's weight in blocks."""

    blocks: torch.Tensor
    bias: torch.Tensor | None

    def __call__(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return f[…, out] of f[…, in]."""
        return torch.ops.mkldnn._linear_pointwise(inputs, self.blocks, self.bias, "none", [], "")

    def with_gelu(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return GPT-2's GELU of what a call returns, in the same pass over memory."""
        return torch.ops.mkldnn._linear_pointwise(
            inputs, self.blocks, self.bias, "gelu", [], "tanh"
        )


# What is packed of each layer, and the state and some numbers of the weight that it was made of.
_packed: WeakKeyDictionary[nn.Module, tuple[Any, torch.Tensor, list[Packed]]] = WeakKeyDictionary()
_fits: WeakKeyDictionary[nn.Module, bool] = WeakKeyDictionary()  # whether a trunk's copies do
_stopped: WeakSet[nn.Module] = WeakSet()  # trunks that ran out of memory


def drop_stale(model: Readable) -> None:
    """Forget what was packed of weights that have changed since, as training may have done.

    What writes through `.data` raises no version, so some numbers of each are compared. Whether
    copies fit into memory is asked anew, too.
    """
    _fits.pop(model.base_model, None)
    for layer in model.modules():
        if layer in _packed and not torch.equal(
            _packed[layer][1], _some(layer._parameters["weight"])
        ):
            del _packed[layer]


def stop_packing(model: Readable) -> None:
    """Drop a model's copies and make no others, because memory has run out."""
    _stopped.add(model.base_model)
    for layer in model.modules():
        _packed.pop(layer, None)


@cache
def _watch_optimizers() -> None:
    """Let optimizers say what they change; asked for when the first weight is packed."""
    register_optimizer_step_post_hook(_drop_trained)


def _drop_trained(optimizer: Optimizer, args: Any, kwargs: Any) -> None:
    """Forget what was packed of weights that an optimizer has just changed, however few.

    Fused optimizers, the Trainer's default among them, change weights without a new version.
    """
    if _packed:
        trained = {id(weight) for group in optimizer.param_groups for weight in group["params"]}
        for layer in [layer for layer in _packed if id(layer.weight) in trained]:
            del _packed[layer]


def packed_head(model: Readable) -> Sequence[Callable[[torch.Tensor], torch.Tensor]]:
    """Return the language-model head in parts of `HEAD_TOKENS` tokens; nothing if not packed."""
    head = model.get_output_embeddings()
    return [] if head is None or watched(head) else pack(head, model, rows=HEAD_TOKENS)


def replaced(layer: nn.Module) -> bool:
    """Whether a program, as accelerate's hooks do, computes a layer in a way of its own."""
    return "forward" in layer.__dict__


def watched(module: nn.Module) -> bool:
    """Whether hooks see what a module is given or returns."""
    return bool(module._forward_hooks or module._forward_pre_hooks) or _has_any_global_hook()


def pack(layer: nn.Module, model: Readable, *, rows: int | None = None) -> list[Packed]:
    """Return a layer's packed weight, in parts of `rows` outputs; nothing where it cannot gain."""
    if type(layer) not in (nn.Linear, Conv1D) or replaced(layer):
        return []
    weight: Any = layer._parameters.get("weight")
    if type(weight) is not nn.Parameter or layer._forward_pre_hooks:
        return []  # made anew by a hook before every pass, as by weight_norm, or of another kind
    bias: Any = layer.bias
    if (
        torch.is_grad_enabled()
        or torch.is_autocast_enabled("cpu")
        or weight.is_inference()
        or weight.dtype != torch.float32
        or weight.device.type != "cpu"
        or weight.nbytes < _LEAST_BYTES
        or not model.engine_options.packed_weights
        or not kernel_exists()
    ):
        return []
    state = (weight.data_ptr(), weight._version, None if bias is None else bias.data_ptr())
    made_of, _, parts = _packed.get(layer, (None, None, []))
    if made_of != state:
        if not _fit(model):
            return []
        _watch_optimizers()
        outputs = weight.t() if isinstance(layer, Conv1D) else weight
        size = rows or len(outputs)
        biases = [None] * -(-len(outputs) // size) if bias is None else bias.split(size)
        parts = [
            Packed(torch.ops.mkldnn._reorder_linear_weight(part.contiguous(), _ROWS), own)
            for part, own in zip(outputs.split(size), biases, strict=True)
        ]
        _packed[layer] = (state, _some(weight).clone(), parts)
    return parts


def _fit(model: Readable) -> bool:
    trunk = model.base_model
    if trunk in _stopped:
        return False
    if trunk not in _fits:
        total = sum(weight.nbytes for weight in model.parameters())
        _fits[trunk] = total <= _MEMORY_SHARE * free_memory(model.device)
    return _fits[trunk]


def _some(weight: Any) -> torch.Tensor:
    """Return some numbers of a weight, spread over its rows and columns."""
    numbers = weight.detach().flatten()
    return numbers[:: max(1, len(numbers) // _COMPARED) | 1]


@cache
def kernel_exists() -> bool:
    """Whether this torch has the kernel."""
    names = ("_reorder_linear_weight", "_linear_pointwise")
    return torch.backends.mkldnn.is_available() and all(
        hasattr(torch.ops.mkldnn, name) for name in names
    )

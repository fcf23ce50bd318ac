"""Low-rank updates inside a state dict: W + (alpha / r) B A (arXiv 2106.09685, section 4.1)."""

import re
from collections.abc import Mapping

import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from ..errors import ModelError

_FACTOR = re.compile(r"(?P<module>.+)\.lora_(?P<which>[AB])\.(?:[^.]+\.)?weight")


def merge_lora(
    weights: Mapping[str, torch.Tensor], trunk: nn.Module, *, alpha: float, names: tuple[str, str]
) -> tuple[dict[str, torch.Tensor], str]:
    """Return the weights with every low-rank update added to its module's weight.

    Args:
        weights: names without peft's prefixes. An adapted module has `lora_A` f[r, in] and
            `lora_B` f[out, r]; its own weight is called `base_layer.weight`, or as ever.
        trunk: the model that they are of, which says what modules are `Conv1D`, whose weight is
            f[in, out].
        alpha: the scale's numerator.
        names: of the checkpoint and of its base, for messages.

    Returns:
        The weights by the trunk's names, and in words what was merged.

    Raises:
        ModelError: half an update, one without a module, or shapes that do not fit.
    """
    source, base = names
    misfit = f"base={base!r} is not the base of that checkpoint."
    modules = dict(trunk.named_modules())
    merged = {
        name.replace(".base_layer.", "."): each
        for name, each in weights.items()
        if not _FACTOR.fullmatch(name)
    }
    factors: dict[str, dict[str, torch.Tensor]] = {}
    for name, each in weights.items():
        if found := _FACTOR.fullmatch(name):
            factors.setdefault(found["module"], {})[found["which"]] = each
    ranks = set()
    for module, pair in factors.items():
        own = f"{module}.weight"
        if module not in modules or own not in merged:
            raise ModelError(
                f"{source!r} has a low-rank update of {module!r}, which the base's model has not, "
                f"or whose weight is missing: {misfit}"
            )
        product, rank = _product(pair, module, source)
        ranks.add(rank)
        update = (alpha / rank) * product
        if isinstance(modules[module], Conv1D):
            update = update.T
        if update.shape != merged[own].shape:
            raise ModelError(
                f"The low-rank update of {module!r} in {source!r} has shape {tuple(update.shape)}, "
                f"its weight {tuple(merged[own].shape)}: {misfit}"
            )
        merged[own] = merged[own].float() + update
    if not ranks:
        return merged, "no low-rank updates"
    listed = ", ".join(map(str, sorted(ranks)))
    return merged, f"low-rank updates of rank {listed} merged with alpha {alpha:g}"


def _product(
    pair: Mapping[str, torch.Tensor], module: str, source: str
) -> tuple[torch.Tensor, int]:
    """Return B A of a module, f[out, in], and its rank.

    Raises:
        ModelError: one of them is missing, or they are of no common rank.
    """
    if len(pair) < 2:
        raise ModelError(
            f"The low-rank update of {module!r} in {source!r} has {''.join(pair)} alone; "
            "lora_A and lora_B belong together. The file is incomplete."
        )
    down, up = tuple(pair["A"].shape), tuple(pair["B"].shape)
    if len(down) != 2 or len(up) != 2 or 0 in (*down, *up) or down[0] != up[1]:
        raise ModelError(
            f"The low-rank update of {module!r} in {source!r} has lora_A of shape {down} "
            f"and lora_B of shape {up}; they must be [r, in] and [out, r] of one rank r."
        )
    return pair["B"].float() @ pair["A"].float(), down[0]

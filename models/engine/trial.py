"""Whether the engine reads a model as the model reads itself: tried once, before any sampling.

Models are told apart by what they do, not by their names: some scale or cap their logits after the
head, some attend in ways of their own although they say that they use the interface.
"""

from weakref import WeakSet

import torch

from ..backbones.protocol import Readable
from ..errors import ModelError
from .attention import SUITABLE, decode, prefill
from .cache import Group, RowCache
from .memory import is_out_of_memory
from .positions import position_limit

_SHARED, _OWN = 2, 2  # tokens of the prompt, and after it
_ROWS = 2
# Greatest difference allowed, as a share of the greatest number.
_EXACT, _ROUNDED = 1e-3, 0.1

_tried: WeakSet[Readable] = WeakSet()


@torch.no_grad()
def check_model(model: Readable) -> None:
    """Read a few tokens by the engine and by the model's own forward, unless that is done.

    A model in training is not tried, since it may drop at random.

    Raises:
        ModelError: the engine cannot read it, or finds other states or logits.
    """
    if model in _tried or model.training:
        return
    tokens = min(model.config.get_text_config().vocab_size, _SHARED + _OWN)
    ids = torch.arange(_SHARED + _OWN, device=model.device).unsqueeze(0) % tokens
    name = type(model).__name__
    try:
        if position_limit(model) < ids.shape[1]:
            return
        hidden = _by_engine(model, ids)
        given = {"attention_mask": torch.ones_like(ids), "use_cache": False}
        found, expected = [hidden], [model.base_model(ids, **given).last_hidden_state]
        head = model.get_output_embeddings()
        if head is not None:
            found.append(head(hidden))
            expected.append(model(ids, **given).logits)
    except Exception as error:
        if isinstance(error, ModelError) or is_out_of_memory(error):
            raise
        raise ModelError(
            f"{name} cannot be read by the engine ({type(error).__name__}: {error}). {SUITABLE}"
        ) from error
    for what, ours, theirs in zip(("hidden states", "logits"), found, expected, strict=False):
        theirs = theirs[:, _SHARED:].float()
        if not bool(theirs.isfinite().all()):
            return  # what is wrong with the model itself is said when it samples
        tolerance = _EXACT if model.dtype == torch.float32 else _ROUNDED
        if bool((ours.float() - theirs).abs().max() > tolerance * theirs.abs().max()):
            raise ModelError(
                f"The engine finds other {what} than {name}'s own forward: it cannot sample from "
                "this model. Samples need softmax attention over all earlier positions by "
                "transformers' attention interface, and logits that are the output embeddings' "
                "products with the last hidden state, neither scaled nor capped."
            )
    _tried.add(model)


def _by_engine(model: Readable, ids: torch.Tensor) -> torch.Tensor:
    """Return the states f[rows, own, D] of rows that share the beginning of ids i64[1, …]."""
    shared, own = ids.split((_SHARED, _OWN), dim=1)
    _, prompts = prefill(model, shared, torch.ones_like(shared))
    owners = torch.zeros(_ROWS, dtype=torch.long, device=ids.device)
    inputs = model.get_input_embeddings()(own).expand(_ROWS, -1, -1)
    positions = torch.arange(_SHARED, ids.shape[1], device=ids.device).expand(_ROWS, -1)
    return decode(model, RowCache(Group(prompts, owners)), inputs, positions)

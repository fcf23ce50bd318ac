"""One example at a time: no cache, no padding, the whole sequence read anew for every thought."""

from collections.abc import Callable

import torch
from torch.nn import functional


def embed(model, ids):
    """The rows of the embedding matrix, f[S, D]."""
    return model.get_input_embeddings().weight[torch.tensor(ids)]


def read(model, inputs, layers=False):
    """The last hidden states f[S, D] of inputs f[S, D], or those of embedding and all layers."""
    output = model.base_model(
        inputs_embeds=inputs[None], use_cache=False, output_hidden_states=layers
    )
    return [one[0] for one in output.hidden_states] if layers else output.last_hidden_state[0]


def think(model, prompt, thoughts, project: Callable, noise=None):
    """Inputs f[P + T, D] of a prompt and its thoughts; noise f[T, D] is added to them."""
    inputs = embed(model, prompt)
    for number in range(thoughts):
        thought = project(read(model, inputs)[-1])
        if noise is not None:
            thought = thought + noise[number]
        inputs = torch.cat((inputs, thought[None]))
    return inputs


def summed_loss(model, states, targets):
    """The summed cross-entropy of targets, whose first is predicted by the first state."""
    logits = states @ model.get_output_embeddings().weight.T
    return functional.cross_entropy(logits, torch.tensor(targets), reduction="sum")

"""Latent-SFT's encoder: it turns written chains into thoughts (arXiv 2510.15522, stage 1)."""

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from .compression import TEXT, THOUGHT, encoder_visible, read_tracks


class Encoder(nn.Module):
    """A copy of a model without its head, and the compress token.

    Attributes:
        trunk: of the model's weights it shares those that are not trained.
        compress: the compress token's embedding; it begins as the mean of all others.
    """

    def __init__(self, model: Any) -> None:
        """Copy a model, its adapters among the rest."""
        super().__init__()
        shared = {id(one): one for one in model.parameters() if not one.requires_grad}
        self.trunk: Any = copy.deepcopy(model.base_model, shared)
        table = model.get_input_embeddings().weight.detach()
        self.compress = nn.Parameter(table.mean(dim=0))

    def forward(self, track: Mapping[str, torch.Tensor], table: torch.Tensor) -> torch.Tensor:
        """Return the scores of all tokens for every thought, f[J, V].

        Args:
            track: an `encoder_track`'s, as `pad_tracks` returns it.
            table: f[V, D], the embeddings that thoughts are mixed of; they get no gradient.
        """
        thought = track["kinds"] == THOUGHT
        inputs = self.trunk.get_input_embeddings()(track["tokens"])
        inputs = torch.where(thought.unsqueeze(-1), self.compress, inputs)
        visible = encoder_visible(track["kinds"])
        states = read_tracks(self.trunk, inputs, track["positions"], visible)[thought]
        return functional.linear(states, table.detach().to(states.dtype))


def group_loss(scores: torch.Tensor, track: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Return the cross-entropy of the groups' tokens f[], each group's mean, summed over groups.

    Args:
        scores: f[J, V], of the encoder.
        track: from which it made them.
    """
    rows, columns = (track["kinds"] == TEXT).nonzero(as_tuple=True)
    counts = (track["kinds"] == THOUGHT).sum(dim=1)
    of = (counts.cumsum(0) - counts)[rows] + track["groups"][rows, columns]
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
    named = scores.log_softmax(dim=-1)[of, track["tokens"][rows, columns]]
    return -(named / of.bincount()[of]).sum()

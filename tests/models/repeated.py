"""The slow way to sample: every row has its own copy of its prompt, read by the own attention."""

from contextlib import contextmanager

import pytest
import torch
from transformers import DynamicCache


class RepeatedCache(DynamicCache):
    """A plain cache of the rows of a group, and what of it is padding."""

    positions = 0  # no budget is kept

    def __init__(self, group):
        super().__init__()
        prompts, owners = group.prompts, group.owners
        for place, (keys, values) in enumerate(zip(prompts.keys, prompts.values, strict=True)):
            self.update(keys[owners], values[owners], place)
        self.mask = torch.ones(len(owners), prompts.keys[0].shape[2], dtype=torch.long)
        if prompts.mask is not None:
            self.mask = prompts.mask[owners].long()
        self.prompt_length = self.mask.shape[1]

    def select(self, rows, *, length=None):
        new = object.__new__(RepeatedCache)
        DynamicCache.__init__(new)
        end = None if length is None else self.prompt_length + length
        for place, layer in enumerate(self.layers):
            new.update(layer.keys[rows, :, :end], layer.values[rows, :, :end], place)
        new.mask, new.prompt_length = self.mask[rows, :end], self.prompt_length
        return new

    def leave(self, stays):
        self.batch_select_indices(stays.nonzero().squeeze(1))
        self.mask = self.mask[stays]


def read_on_repeated(model, cache, inputs, positions):
    cache.mask = torch.cat((cache.mask, cache.mask.new_ones(inputs.shape[:2])), dim=1)
    return model.base_model(
        inputs_embeds=inputs.to(model.dtype),
        attention_mask=cache.mask,
        position_ids=positions,
        past_key_values=cache,
        use_cache=True,
    ).last_hidden_state


@contextmanager
def repeated():
    """Repeat prompts, and attend as the model always does."""
    with pytest.MonkeyPatch.context() as patch:
        for module in ("models.engine", "models.branches", "reward.model"):
            patch.setattr(f"latent_tts.{module}.read_on", read_on_repeated)
        for module in ("models.rows", "reward.model"):
            patch.setattr(f"latent_tts.{module}.RowCache", RepeatedCache)
        patch.setattr("latent_tts.models.engine.draft", lambda rows, record: None)
        yield

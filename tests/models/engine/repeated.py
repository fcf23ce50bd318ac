"""The slow way to sample: every row has its own copy of its prompt, read by the own attention."""

from contextlib import contextmanager

import pytest
import torch
from torch.nn.functional import pad
from transformers import DynamicCache


class PlainRows:
    """A plain cache of rows, padded on the left where they have read less than others."""

    def __init__(self, layers, mask, prompt_length):
        self.cache, self.mask, self.prompt_length = DynamicCache(), mask, prompt_length
        for number, (keys, values) in enumerate(layers):
            self.cache.update(keys, values, number)

    def __len__(self):
        return len(self.mask)

    @property
    def layers(self):
        return [(layer.keys, layer.values) for layer in self.cache.layers]

    @classmethod
    def of(cls, group):
        prompts, owners = group.prompts, group.owners
        layers = zip(prompts.keys, prompts.values, strict=True)
        mask = torch.ones(len(owners), prompts.keys[0].shape[2], dtype=torch.long)
        if prompts.mask is not None:
            mask = prompts.mask[owners].long()
        layers = [(keys[owners], values[owners]) for keys, values in layers]
        return cls(layers, mask, mask.shape[1])

    @classmethod
    def join(cls, parts):
        width = max(part.mask.shape[1] for part in parts)
        layers = [
            [
                torch.cat([pad(own, (0, 0, width - own.shape[2], 0)) for own in states])
                for states in zip(*of_parts, strict=True)
            ]
            for of_parts in zip(*(part.layers for part in parts), strict=True)
        ]
        mask = torch.cat([pad(part.mask, (width - part.mask.shape[1], 0)) for part in parts])
        return cls(layers, mask, parts[0].prompt_length)

    def select(self, rows, length=None):
        end = None if length is None else self.prompt_length + length
        layers = [(keys[rows, :, :end], values[rows, :, :end]) for keys, values in self.layers]
        return PlainRows(layers, self.mask[rows, :end], self.prompt_length)


class RepeatedCache:
    """Stands in for the engine's `RowCache`."""

    positions = 0  # no budget is kept

    def __init__(self, *groups):
        parts = [group if isinstance(group, PlainRows) else PlainRows.of(group) for group in groups]
        self.groups = [parts[0] if len(parts) == 1 else PlainRows.join(parts)]

    def select(self, rows, *, length=None):
        return RepeatedCache(self.groups[0].select(rows, length))

    def leave(self, stays, known):
        self.groups = [self.groups[0].select(stays.nonzero().squeeze(1))]


def read_on_repeated(model, cache, inputs, positions):
    (rows,) = cache.groups
    rows.mask = torch.cat((rows.mask, rows.mask.new_ones(inputs.shape[:2])), dim=1)
    return model.base_model(
        inputs_embeds=inputs.to(model.dtype),
        attention_mask=rows.mask,
        position_ids=positions,
        past_key_values=rows.cache,
        use_cache=True,
    ).last_hidden_state


@contextmanager
def repeated():
    """Repeat prompts, and attend as the model always does."""
    with pytest.MonkeyPatch.context() as patch:
        for module in ("models.engine.step", "reward.reader"):
            patch.setattr(f"latent_tts.{module}.decode", read_on_repeated)
        for module in ("models.engine.rows", "reward.reader"):
            patch.setattr(f"latent_tts.{module}.RowCache", RepeatedCache)
        yield

"""Prompt, thoughts and text of a batch in one differentiable pass."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional
from transformers import DynamicCache

from ..samplers import Draw, Reading, Sampler


@dataclass(frozen=True)
class Unrolled:
    """What a pass computed.

    Attributes:
        states: f[B, A + 1, D], the last hidden states before the text's first token and after each
            of its tokens.
        thoughts: f[B, T, D], the last hidden states after each thought.
        layers: where asked for, the states of the embedding and of every layer, f[B, A, D], after
            each token of the text.
    """

    states: torch.Tensor
    thoughts: torch.Tensor
    layers: tuple[torch.Tensor, ...] = ()


def unroll(
    model: Any,
    batch: Mapping[str, torch.Tensor],
    *,
    thoughts: int = 0,
    text: torch.Tensor | None = None,
    sampler: Sampler | None = None,
    layers: bool = False,
) -> Unrolled:
    """Read prompts, let the model think, and read texts; gradients flow through everything.

    Args:
        model: a causal language model; a `LatentBackbone` where it is to think.
        batch: as `pad_batch` returns it.
        thoughts: T, fed between prompt and text.
        text: f[B, A, D], read in the place of the text's embeddings.
        sampler: makes thoughts random as it does when they are sampled: under dropout, prompt and
            thoughts but the last are read with masks, by its scope, and the text where the
            backbone's answers are.
        layers: whether to keep the text's states of every layer.
    """
    sampler = sampler or Sampler()
    embed = model.get_input_embeddings()
    prompt, text = embed(batch["prompt"]), embed(batch["text"]) if text is None else text
    width, length = prompt.shape[1], text.shape[1]
    with sampler.installed(model) as reading:
        reader = _Reader(model, batch, thoughts, reading)
        if not thoughts and not sampler.reading_varies:
            output = reader.read(torch.cat((prompt, text), dim=1), active=False, layers=layers)
            states = output.last_hidden_state[:, width - 1 :]
            kept = tuple(one[:, width:] for one in output.hidden_states or ())
            return Unrolled(states, states[:, :0], kept)
        answering = bool(getattr(model, "dropout_while_answering", False))
        output = reader.read(prompt, active=sampler.prompt_varies)
        states = [output.last_hidden_state[:, -1:]]
        for number in range(thoughts):
            thought = sampler.think(model, states[-1][:, 0], reader.draw()).unsqueeze(1)
            output = reader.read(thought, active=answering or number + 1 < thoughts)
            states.append(output.last_hidden_state[:, -1:])
        output = reader.read(text, active=answering, layers=layers)
        after = output.last_hidden_state[:, -length:]
        return Unrolled(
            torch.cat((states[-1], after), dim=1),
            torch.cat(states, dim=1)[:, 1:],
            tuple(one[:, -length:] for one in output.hidden_states or ()),
        )


def learned_loss(model: Any, states: torch.Tensor, batch: Mapping[str, torch.Tensor]) -> Any:
    """Return the summed cross-entropy f[] of the learned tokens; of others there are no logits.

    Args:
        model: has the head.
        states: f[B, A + 1, D], as `unroll` returns them.
        batch: as `pad_batch` returns it.
    """
    chosen = states.flatten(0, 1)[batch["states"]]
    logits = model.get_output_embeddings()(chosen)
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return functional.cross_entropy(logits, batch["targets"], reduction="sum")


@contextmanager
def recomputed(model: Any, wanted: bool = True) -> Iterator[None]:
    """Compute layers' states again in the backward pass within the context, for less memory."""
    newer = hasattr(model, "activation_checkpointing_enable")  # its name in later transformers
    name = "activation" if newer else "gradient"
    if wanted:
        getattr(model, f"{name}_checkpointing_enable")({"use_reentrant": False})
    try:
        yield
    finally:
        if wanted:
            getattr(model, f"{name}_checkpointing_disable")()


class _Reader:
    """A model with what it has read: by its cache, or from the beginning in each pass.

    States that are to be computed again in the backward pass cannot come from a cache, so under
    gradient checkpointing every thought reads all of the sequence again.
    """

    def __init__(
        self, model: Any, batch: Mapping[str, torch.Tensor], thoughts: int, reading: Reading
    ) -> None:
        """Lay out mask and positions of prompt, thoughts and text."""
        self._model, self._reading, self._keys = model, reading, batch["keys"]
        width = batch["prompt"].shape[1]
        prompt, text = batch["mask"][:, :width], batch["mask"][:, width:]
        self._mask = torch.cat((prompt, prompt.new_ones(len(prompt), thoughts), text), dim=1)
        self._positions = (self._mask.cumsum(dim=1) - 1).clamp(min=0)
        self._done = 0
        self._inputs: list[torch.Tensor] = []
        again = model.training and any(
            getattr(module, "gradient_checkpointing", False) for module in model.modules()
        )
        self._cache = None if again else DynamicCache(config=model.config)

    def draw(self) -> Draw:
        """Return the random numbers of the thoughts that come next."""
        return Draw(self._keys, self._positions[:, self._done])

    def read(self, inputs: torch.Tensor, *, active: bool, layers: bool = False) -> Any:
        """Read inputs f[B, S, D] after all that was read, under the sampler where active."""
        start, self._done = self._done, self._done + inputs.shape[1]
        if self._cache is None:
            self._inputs.append(inputs)
            inputs, start = torch.cat(self._inputs, dim=1), 0
        positions = self._positions[:, start : self._done]
        (self._reading.address if active else self._reading.rest)(self._keys, positions)
        return self._model.base_model(
            inputs_embeds=inputs,
            attention_mask=self._mask[:, : self._done],
            position_ids=positions,
            past_key_values=self._cache,
            use_cache=self._cache is not None,
            output_hidden_states=layers,
        )

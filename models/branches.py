"""Completions of given trajectories: the engine started after some of their thoughts.

A branch leaves a trajectory after t thoughts and goes on with randomness of its own. All branches
of a trajectory share what it has read: the prompt and its thoughts are read once, the cache of the
first t thoughts is repeated, and that of the prompt is not. Where reading itself is random
(dropout), the thought at which a branch leaves is read again under the branch's own masks, for the
next thought follows from it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from . import randomness
from .attention import PASS, read_on
from .config import LatentSettings
from .engine import feed, prefill, prompt_tokens, row_keys, run
from .rows import LatentGenerateOutput, Record, Rows
from .samplers import Sampler, make_sampler


@dataclass(frozen=True, kw_only=True)
class Branches:
    """The completions that leave trajectories after the same number of thoughts.

    Attributes:
        step: thoughts t that each shares with its trajectory.
        rows: i64[K], the trajectories, as rows of B * N.
        output: of K * M rows, the branches of one trajectory together; `sequences` and
            `latent_thoughts` begin with what is shared.
    """

    step: int
    rows: torch.Tensor
    output: LatentGenerateOutput


@torch.no_grad()
def branch(
    model: Any,
    *,
    input_ids: torch.Tensor,
    attention_mask: torch.Tensor,
    trajectories: LatentGenerateOutput,
    settings: LatentSettings,
    count: int,
) -> Iterator[Branches]:
    """Complete trajectories `count` times from each of their thoughts but the last.

    A branch's randomness is addressed by its trajectory's address, the step and its own number, so
    it depends on no batch, and the first of more branches are those of fewer.

    Args:
        model: the backbone.
        input_ids: i64[B, P], left-padded, that the trajectories were generated from.
        attention_mask: i64[B, P].
        trajectories: what `generate` returned for them under the same settings.
        settings: N, the seed, the sampler and the lengths.
        count: completions M from each thought.

    Yields:
        For t = 1, 2, …, the completions of the trajectories with more than t thoughts.

    Raises:
        ModelError: hidden states that are not finite.
    """
    input_ids, attention_mask = input_ids.to(model.device), attention_mask.to(model.device)
    thoughts, lengths = trajectories.latent_thoughts, trajectories.latent_lengths
    if thoughts is None or lengths is None or thoughts.shape[1] < 2:
        return
    sampler = make_sampler(settings)
    with PASS, sampler.installed(model):
        samples = range(settings.num_return_sequences)
        tokens = prompt_tokens(input_ids, attention_mask)
        keys = row_keys(tokens, settings, samples, model.device)
        rows = Rows.begin(*prefill(model, input_ids, attention_mask, keys, sampler), keys)
        states = _read_thoughts(model, rows, thoughts[:, :-1], sampler)
    prompts = input_ids.repeat_interleave(settings.num_return_sequences, dim=0)
    for step in range(1, thoughts.shape[1]):
        places = (lengths > step).nonzero().squeeze(1)
        chosen = places.repeat_interleave(count)
        leaving = _leave(rows, states, chosen, step=step, own=sampler.reading_varies)
        leaving.keys = randomness.branch_keys(rows.keys[places], step, count).flatten()
        with PASS, sampler.installed(model):
            if sampler.reading_varies:
                feed(model, leaving, thoughts[chosen, step - 1], settings, sampler)
            record = Record.empty(model, settings, len(chosen))
            record.tokens[:, :step] = model.latent_tokens.placeholder
            record.thoughts[:, :step] = thoughts[chosen, :step]
            run(model, leaving, settings, sampler, record)
        output = record.output(prompts[chosen])
        yield Branches(step=step, rows=places, output=output)


def _read_thoughts(
    model: Any, rows: Rows, thoughts: torch.Tensor, sampler: Sampler
) -> torch.Tensor:
    """Feed given thoughts f[R, T, D] to rows that have read their prompts, all at once.

    Only thoughts that others follow are given, and those are always read under the sampler.

    Returns:
        f[R, T, D], the last hidden state after each; the rows' cache grows by T.
    """
    depth = thoughts.shape[1]
    positions = rows.position.unsqueeze(1) + torch.arange(depth, device=thoughts.device)
    sampler.address(rows.keys, positions)
    return read_on(model, rows.cache, thoughts, positions)


def _leave(rows: Rows, states: torch.Tensor, chosen: torch.Tensor, *, step: int, own: bool) -> Rows:
    """Return new rows at the trajectories `chosen` i64[R'], after `step` thoughts.

    With `own` the last of these thoughts is still to be read, else it is shared as well. `states`
    f[R, T, D] follow the thoughts.
    """
    read = step - own
    leaving = rows.select(chosen, length=read)
    leaving.index = torch.arange(len(chosen), device=chosen.device)
    leaving.hidden = states[chosen, step - 1]
    leaving.position = leaving.position + read
    leaving.thoughts = leaving.thoughts + step
    return leaving

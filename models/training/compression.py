"""A written chain and the thoughts that stand for it, in one sequence (arXiv 2510.15522, stage 1).

A chain is cut into groups of tokens. The encoder reads it with a compress token after each group;
what it makes there is the group's thought. The decoder reads the thoughts, and behind each of them
the tokens of the next group, which it has to write from it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch

PADDING, PROMPT, TEXT, THOUGHT, END = -1, 0, 1, 2, 3
"""What an input is: END is the end marker and the answer."""


@dataclass(frozen=True)
class Track:
    """One example's inputs.

    Attributes:
        tokens: ids; of a thought any.
        kinds: what each is, such as `THOUGHT`.
        groups: number of the thought that an input belongs to, from 0; -1 for none.
        positions: of each input.
        targets: the token that is learned after an input; -1 for none.
    """

    tokens: Sequence[int]
    kinds: Sequence[int]
    groups: Sequence[int]
    positions: Sequence[int]
    targets: Sequence[int]

    @classmethod
    def of(cls, inputs: Iterable[tuple[int, int, int, int, int]]) -> "Track":
        """Return the track of inputs, each token, kind, group, position and target."""
        return cls(*zip(*inputs, strict=True))


def cut_chain(chain: Sequence[int], rate: int) -> list[Sequence[int]]:
    """Return a chain's tokens in groups of `rate`, the last with what is left."""
    return [chain[at : at + rate] for at in range(0, len(chain), rate)]


def encoder_track(prompt: Sequence[int], chain: Sequence[int], rate: int, *, fill: int) -> Track:
    """Return prompt and chain, with a compress token after every group, at positions in order.

    Args:
        prompt: its tokens.
        chain: the written steps' tokens.
        rate: tokens of a group.
        fill: id that stands for compress tokens.
    """
    inputs = [(token, PROMPT, -1) for token in prompt]
    for number, group in enumerate(cut_chain(chain, rate)):
        inputs += [*((token, TEXT, number) for token in group), (fill, THOUGHT, number)]
    return Track.of((*one, position, -1) for position, one in enumerate(inputs))


def decoder_track(
    prompt: Sequence[int], chain: Sequence[int], after: Sequence[int], rate: int, *, fill: int
) -> Track:
    """Return prompt, thoughts with the next group's tokens behind each, and what follows.

    Thoughts have the positions after the prompt as if nothing stood behind them; tokens behind a
    thought go on from it, and what follows from the last thought. The first group is not written.
    A group's last token is learned and not read, since nothing is learned after it.

    Args:
        prompt: its tokens.
        chain: the written steps' tokens.
        after: the end marker, the answer and the end-of-sequence token.
        rate: tokens of a group.
        fill: id that stands for thoughts.
    """
    groups = cut_chain(chain, rate)
    inputs = [(token, PROMPT, -1, position, -1) for position, token in enumerate(prompt)]
    for number in range(len(groups)):
        position, behind = len(prompt) + number, groups[number + 1 :][:1] or [()]
        read, learned = [fill, *behind[0][:-1]], behind[0] or [-1]
        inputs += [
            (token, TEXT if at else THOUGHT, number, position + at, learned[at])
            for at, token in enumerate(read)
        ]
    inputs[-1] = (*inputs[-1][:-1], after[0])
    start = len(prompt) + len(groups)
    following = enumerate(pairwise(after))
    inputs += [(token, END, -1, start + at, target) for at, (token, target) in following]
    return Track.of(inputs)


def encoder_visible(kinds: torch.Tensor) -> torch.Tensor:
    """Return which input sees which in the encoder: all before it but compress tokens, and itself.

    So a thought is made of the prompt and the chain so far, and of no other thought.

    Args:
        kinds: i64[B, S], as `Track` has them.

    Returns:
        bool[B, S, S], of each input what it sees.
    """
    seen = kinds.unsqueeze(1)
    return _earlier(kinds) & ((seen == PROMPT) | (seen == TEXT)) | _itself(kinds)


def decoder_visible(kinds: torch.Tensor, groups: torch.Tensor) -> torch.Tensor:
    """Return which input sees which in the decoder, bool[B, S, S].

    A thought sees the prompt and earlier thoughts; a token behind a thought sees that thought and
    the tokens between, nothing else; end marker and answer see prompt, thoughts and themselves.

    Args:
        kinds: i64[B, S], as `Track` has them.
        groups: i64[B, S], likewise.
    """
    sees, seen = kinds.unsqueeze(2), kinds.unsqueeze(1)
    main = (sees != TEXT) & (seen != TEXT) & (seen != PADDING)
    behind = (sees == TEXT) & (groups.unsqueeze(2) == groups.unsqueeze(1))
    return _earlier(kinds) & (main | behind) | _itself(kinds)


def _earlier(kinds: torch.Tensor) -> torch.Tensor:
    """Return bool[S, S], what stands before an input."""
    return torch.ones(kinds.shape[1:] * 2, dtype=torch.bool, device=kinds.device).tril(-1)


def _itself(kinds: torch.Tensor) -> torch.Tensor:
    return torch.eye(kinds.shape[1], dtype=torch.bool, device=kinds.device)


def pad_tracks(tracks: Sequence[Track], *, pad: int) -> dict[str, torch.Tensor]:
    """Return each field of B tracks, i64[B, S], padded on the right.

    Nothing sees padding.
    """
    width = max(len(track.tokens) for track in tracks)
    fills = {"tokens": pad, "kinds": PADDING, "groups": -1, "positions": 0, "targets": -1}
    rows = {
        name: [[*getattr(t, name), *[fill] * (width - len(t.tokens))] for t in tracks]
        for name, fill in fills.items()
    }
    return {name: torch.tensor(found) for name, found in rows.items()}


def read_tracks(
    trunk: Any, inputs: torch.Tensor, positions: torch.Tensor, visible: torch.Tensor
) -> torch.Tensor:
    """Return the last hidden states f[B, S, D] of inputs that see what they may.

    Args:
        trunk: transformers' model without its head.
        inputs: f[B, S, D].
        positions: i64[B, S].
        visible: bool[B, S, S].
    """
    mask = visible.unsqueeze(1)
    if trunk.config._attn_implementation == "eager":  # which adds it to the scores
        least = torch.finfo(inputs.dtype).min
        mask = torch.zeros_like(mask, dtype=inputs.dtype).masked_fill(~mask, least)
    output = trunk(
        inputs_embeds=inputs, attention_mask=mask, position_ids=positions, use_cache=False
    )
    return output.last_hidden_state

"""Masks and positions of Latent-SFT's first stage, on cases written out by hand."""

import pytest
import torch

from latent_tts.models.training.compression import (
    decoder_track,
    decoder_visible,
    encoder_track,
    encoder_visible,
    pad_tracks,
)

PROMPT, FILL = [7, 8], 99


def seen(visible):
    """A picture of a mask: a row for each input, x where it sees."""
    return ["".join("x" if one else "." for one in row) for row in visible.tolist()]


def test_a_compress_token_stands_after_every_group_and_no_later_input_sees_it():
    # The chain 1 2 3 4 5 in groups of 2: prompt 7 8, then 1 2 [c] 3 4 [c] 5 [c].
    track = encoder_track(PROMPT, [1, 2, 3, 4, 5], 2, fill=FILL)
    assert track.tokens == (7, 8, 1, 2, FILL, 3, 4, FILL, 5, FILL)
    assert track.positions == tuple(range(10))
    visible = encoder_visible(pad_tracks([track], pad=0)["kinds"])[0]
    assert seen(visible) == [
        "x.........",
        "xx........",
        "xxx.......",
        "xxxx......",
        "xxxxx.....",  # the first thought: prompt, 1 2 and itself
        "xxxx.x....",
        "xxxx.xx...",
        "xxxx.xxx..",
        "xxxx.xx.x.",
        "xxxx.xx.xx",
    ]


def test_tokens_behind_a_thought_see_that_thought_alone_and_the_answer_sees_no_token_of_the_chain():
    # Prompt 7 8, then [1] with 4 5 behind it, of 4 5 6; [2] with 7 of 7 8; [3]; what follows, 6 9.
    # The first group, 1 2 3, is not written; the last token of a group is learned and not read.
    track = decoder_track(PROMPT, [1, 2, 3, 4, 5, 6, 7, 8], [6, 9], 3, fill=FILL)
    assert track.tokens == (7, 8, FILL, 4, 5, FILL, 7, FILL, 6)
    assert track.positions == (0, 1, 2, 3, 4, 3, 4, 4, 5)
    assert track.targets == (-1, -1, 4, 5, 6, 7, 8, 6, 9)
    padded = pad_tracks([track], pad=0)
    assert seen(decoder_visible(padded["kinds"], padded["groups"])[0]) == [
        "x........",
        "xx.......",
        "xxx......",  # the first thought
        "..xx.....",  # 4 sees it and itself
        "..xxx....",
        "xxx..x...",  # the second thought: the prompt, the first, itself
        ".....xx..",
        "xxx..x.x.",  # the third
        "xxx..x.xx",  # what follows: prompt, all thoughts, itself
    ]


@pytest.mark.parametrize(
    ("chain", "rate", "tokens", "positions", "targets"),
    [
        ([], 2, (7, 8), (0, 1), (-1, 6)),
        ([1], 2, (7, 8, FILL), (0, 1, 2), (-1, -1, 6)),
        ([1, 2], 1, (7, 8, FILL, FILL), (0, 1, 2, 3), (-1, -1, 2, 6)),
        ([1, 2, 3], 3, (7, 8, FILL), (0, 1, 2), (-1, -1, 6)),
        ([1, 2, 3], 2, (7, 8, FILL, FILL), (0, 1, 2, 3), (-1, -1, 3, 6)),
    ],
)
def test_short_chains(chain, rate, tokens, positions, targets):
    track = decoder_track(PROMPT, chain, [6], rate, fill=FILL)
    assert (track.tokens, track.positions, track.targets) == (tokens, positions, targets)


def test_nothing_sees_padding():
    tracks = [decoder_track(PROMPT, range(size), [6], 2, fill=FILL) for size in (1, 5)]
    padded = pad_tracks(tracks, pad=0)
    length = len(tracks[0].tokens)
    visible = decoder_visible(padded["kinds"], padded["groups"])
    outside = visible[0, :, length:] & ~torch.eye(visible.shape[1], dtype=torch.bool)[:, length:]
    assert not outside.any()
    assert visible.diagonal(dim1=1, dim2=2).all()  # a row that sees nothing would be no number
    assert not (encoder_visible(padded["kinds"])[0, :length, length:]).any()

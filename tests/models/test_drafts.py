"""Drafted answers are the answers of one token at a time."""

from dataclasses import replace

import pytest
import torch

from latent_tts.models import EngineOptions, engine
from latent_tts.models.drafts import look_up
from tests.models.sampled import COMMON, check_same, thought_length


@pytest.mark.parametrize(
    ("tokens", "most", "expected"),
    [
        ([5, 6, 7, 5, 6], 2, [7, 5]),
        ([5, 6, 7, 5, 6], 5, [7, 5, 6, 7, 5]),  # on into the guess
        ([4, 4], 3, [4, 4, 4]),
        ([1, 2, 9, 3, 2, 8, 1, 2], 1, [9]),  # two alike count more than one nearer
        ([2, 9, 5, 2, 8, 5, 2], 1, [8]),  # of like ones the latest counts
        ([1, 2, 3], 4, []),
        ([1], 4, []),
        ([], 4, []),
        ([4, 4], 0, []),
    ],
)
def test_a_guess_goes_on_as_the_text_did_before(tokens, most, expected):
    assert look_up(tokens, most) == expected


@pytest.fixture(params=["noise", "dropout", "answers"])
def long(request, backbone):
    """Settings under which most answers are cut off, far beyond their first repetition."""
    how = {
        "noise": {"latent_do_sample_by": "noise"},
        "dropout": {"dropout_p": 0.02, "dropout_site": "residual"},
        # So cold that drafts often fit.
        "answers": {"latent_do_sample": False, "do_sample": True, "temperature": 0.05},
    }[request.param]
    return {**COMMON, **thought_length(backbone, 3), **how, "max_new_tokens": 110}


@pytest.fixture
def fits(monkeypatch):
    """How many drafted tokens were kept, and forgotten, in each pass."""
    seen, feed = [], engine.feed_drafts

    def watched(model, rows, inputs, drafts, *args):
        before = rows.tokens
        feed(model, rows, inputs, drafts, *args)
        kept = int((rows.tokens - before).sum())
        seen.append((kept, int((drafts >= 0).sum()) - kept))

    monkeypatch.setattr(engine, "feed_drafts", watched)
    return seen


@pytest.mark.parametrize(("questions", "count"), [(1, 1), (2, 3)])
def test_drafts_change_no_answer(backbone, monkeypatch, long, fits, questions, count):
    model, prompts = backbone.model, backbone.prompts(questions)
    # No end but for lack of room, so that answers run into their repetitions.
    monkeypatch.setattr(model, "latent_tokens", replace(model.latent_tokens, eos=()))
    found = backbone.generate(prompts, num_return_sequences=count, **long)
    kept, forgotten = (sum(numbers) for numbers in zip(*fits, strict=True))
    assert kept > 20 or questions > 1  # several rows go on by what all of them agree with
    assert forgotten > 0
    monkeypatch.setattr(model, "engine", EngineOptions(drafts=False))
    passes = len(fits)
    expected = backbone.generate(prompts, num_return_sequences=count, **long)
    assert len(fits) == passes
    check_same(found, expected)
    assert bool(found.truncated.all())


def test_drafts_stop_at_the_end_of_an_answer(backbone, monkeypatch, fits):
    """An end that is the model's own choice comes after as many tokens as without drafts."""
    settings = {**COMMON, **thought_length(backbone, 2), "max_new_tokens": 100}
    settings |= {"latent_do_sample_by": "noise", "num_return_sequences": 2}
    prompts = backbone.prompts(12)
    found = [backbone.generate([prompt], **settings) for prompt in prompts]
    monkeypatch.setattr(backbone.model, "engine", EngineOptions(drafts=False))
    for prompt, ours in zip(prompts, found, strict=True):
        check_same(ours, backbone.generate([prompt], **settings))
    lengths = torch.cat([output.answer_lengths for output in found])
    ended = ~torch.cat([output.truncated for output in found])
    assert (lengths[ended] > 4).any()
    assert sum(kept for kept, _ in fits) > 0

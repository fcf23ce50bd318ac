"""Without randomness the engine returns what the slow reference computes."""

from dataclasses import replace

import pytest
import torch

from tests.marks import slow_but

LENGTHS = [
    ("coconut", {"latent_length": 6}),
    ("coconut", {"latent_length": 0}),
    ("codi", {"latent_length": 6}),
    ("colar", {"max_latent_length": 8}),
    ("colar", {"max_latent_length": 2}),
    ("colar", {"max_latent_length": 0}),
    ("colar", {"latent_length": 3}),
]


def check_against_reference(backbone, prompts, *, max_new_tokens, **lengths):
    """Compare every row of a batch with the reference and return the output."""
    output = backbone.generate(
        prompts, latent_do_sample=False, max_new_tokens=max_new_tokens, **lengths
    )
    width = max(map(len, prompts))
    pad = backbone.model.latent_tokens.pad
    ends = []
    for row, prompt in enumerate(prompts):
        expected = backbone.reference.answer(
            prompt,
            length=lengths.get("latent_length"),
            most=lengths.get("max_latent_length"),
            max_new_tokens=max_new_tokens,
        )
        got = output.sequences[row, width - len(prompt) :].tolist()
        end = len(expected.sequence)
        assert got[:end] == expected.sequence
        assert set(got[end:]) <= {pad}
        thoughts = len(expected.thoughts)
        torch.testing.assert_close(
            output.latent_thoughts[row, :thoughts], expected.thoughts, rtol=0, atol=1e-4
        )
        assert not output.latent_thoughts[row, thoughts:].any()
        assert output.latent_lengths[row] == thoughts
        assert output.answer_lengths[row] == expected.answer
        assert output.truncated[row] == expected.truncated
        ends.append(end - len(prompt))
    assert output.sequences.shape == (len(prompts), width + max(ends))
    assert output.latent_thoughts.shape[1] == output.latent_lengths.max()
    return output


@pytest.mark.parametrize(("kind", "lengths"), slow_but(LENGTHS, LENGTHS[2]))
def test_a_batch_of_mixed_lengths_equals_the_reference(backbones, kind, lengths):
    backbone = backbones[kind]
    output = check_against_reference(
        backbone, backbone.prompts(12 if kind == "colar" else 6), max_new_tokens=24, **lengths
    )
    # Otherwise the comparison would show little.
    assert output.truncated.any()
    assert not output.truncated.all()
    assert len(set(output.answer_lengths.tolist())) > 2


def test_colar_stops_at_once_by_itself_or_at_the_most_thoughts(backbones):
    output = backbones["colar"].generate(
        backbones["colar"].prompts(16), latent_do_sample=False, max_latent_length=8
    )
    lengths = output.latent_lengths.tolist()
    assert lengths.count(0) > 1
    assert lengths.count(8) > 1
    assert len(set(lengths)) > 4


def test_max_new_tokens_counts_thoughts_end_marker_and_answer(backbone):
    name = "max_latent_length" if backbone.kind == "colar" else "latent_length"
    output = check_against_reference(backbone, backbone.prompts(6), max_new_tokens=8, **{name: 6})
    counted = output.latent_lengths + 1 + output.answer_lengths
    assert counted.max() == 8
    assert set(counted[output.truncated].tolist()) == {8}


@pytest.mark.parametrize("backbone", slow_but(["coconut", "colar"], "coconut"), indirect=True)
def test_answers_end_at_the_models_last_position(backbone, monkeypatch):
    # Without an end-of-sequence token every answer is cut off.
    tokens = replace(backbone.model.latent_tokens, eos=(-1,))
    monkeypatch.setattr(backbone.model, "latent_tokens", tokens)
    monkeypatch.setattr(backbone.reference, "eos", -1)
    most, positions = 6, backbone.reference.positions
    lengths = {"max_latent_length" if backbone.kind == "colar" else "latent_length": most}
    prompts = [
        (ids * 10)[-length:]
        for ids in backbone.prompts(2)
        for length in (positions - most - 2, positions - most - 5)
    ]
    output = check_against_reference(backbone, prompts, max_new_tokens=16, **lengths)
    assert output.truncated.all()
    for row, prompt in enumerate(prompts):
        thoughts = int(output.latent_lengths[row])
        room = min(positions - len(prompt), 16) - thoughts - 1
        assert output.answer_lengths[row] == room


@pytest.mark.slow
def test_only_what_is_generated_counts_as_colars_end_marker(backbones):
    backbone = backbones["colar"]
    end = backbone.model.latent_tokens.end
    prompts = [[end, *ids[:9], end, *ids[9:]] for ids in backbone.prompts(8)]
    assert min(ids.count(end) for ids in prompts) == 3
    output = check_against_reference(backbone, prompts, max_new_tokens=24, max_latent_length=8)
    assert output.latent_lengths.max() > 1


def test_without_a_mask_every_token_is_attended(backbone):
    prompt = torch.tensor(backbone.prompts(1))
    settings = {"latent_do_sample": False, "max_new_tokens": 70}
    torch.testing.assert_close(
        backbone.model.generate(prompt, **settings),
        backbone.generate(prompt.tolist(), **settings).sequences,
    )


def test_plain_sequences_unless_asked_for_more(backbone):
    prompt = torch.tensor(backbone.prompts(1))
    settings = {"latent_do_sample": False, "max_new_tokens": 70}
    sequences = backbone.model.generate(prompt, **settings)
    assert isinstance(sequences, torch.Tensor)
    output = backbone.model.generate(prompt, return_dict_in_generate=True, **settings)
    assert torch.equal(output.sequences, sequences)
    assert output[0] is output.sequences  # transformers' ModelOutput

"""Noise is what it is said to be, at the addresses it is said to be at."""

import pytest
import torch
from scipy import stats

from latent_tts.models import BACKBONES, Draw, ModelError
from latent_tts.models.samplers import Noise, randomness
from tests.models.reference import Noise as ReferenceNoise
from tests.models.reference import sample_key
from tests.models.sampled import thought_length

NOISE = {"coconut": 0.6, "codi": 1.4, "colar": 0.01}


def noise_of(backbone, prompt, thoughts):
    """The noise f[T, D] in a sample's thoughts, in units of sigma."""
    clean = backbone.reference.replayed_thoughts(prompt, thoughts)
    return (thoughts - clean) / NOISE[backbone.kind]


def noisy(backbone, questions, **settings):
    by_noise = {"latent_do_sample_by": "noise", "noise_std": NOISE[backbone.kind]}
    return backbone.sample(
        {**by_noise, "max_new_tokens": 24, **thought_length(backbone, 6), **settings},
        questions=questions,
    )


def test_noise_is_sigma_times_the_addressed_normal_numbers(backbone):
    prompts, compared = backbone.prompts(6), 0
    for (question, sample), one in noisy(backbone, 6, num_return_sequences=2, seed=11).items():
        length = len(one.thoughts)
        if not length:
            continue
        key = sample_key(11, prompts[question], sample).expand(length)
        positions = len(prompts[question]) + torch.arange(length)
        expected = randomness.normal(key, positions, site=0, size=48).float()
        noise = noise_of(backbone, prompts[question], one.thoughts)
        torch.testing.assert_close(noise, expected, rtol=0, atol=2e-3)
        compared += length
    assert compared > 15


@pytest.mark.slow
def test_noise_has_mean_0_and_deviation_sigma_and_is_independent(backbones):
    backbone, count = backbones["codi"], 6
    prompts = backbone.prompts(4)
    found = noisy(backbone, 4, num_return_sequences=count, seed=3)
    noise = torch.stack(
        [
            noise_of(backbone, prompts[question], found[question, sample].thoughts)
            for question in range(4)
            for sample in range(count)
        ]
    ).double()
    noise = noise.view(len(prompts), count, 6, 48)  # question, sample, step, element
    size = noise.numel()
    assert abs(float(noise.sum())) / size**0.5 < 4
    assert abs(float((noise**2 - 1).sum())) / (2 * size) ** 0.5 < 4
    assert stats.kstest(noise.flatten().numpy(), "norm").pvalue > 0.001
    for axis, length in enumerate(noise.shape):
        products = noise.narrow(axis, 0, length - 1) * noise.narrow(axis, 1, length - 1)
        assert abs(float(products.sum())) / products.numel() ** 0.5 < 4, axis


@pytest.mark.parametrize("backbone", ["coconut", "codi", "colar"], indirect=True)
def test_a_sample_is_the_references(backbone):
    """Thoughts, when thinking ends, and the answer that follows from the noisy thoughts."""
    prompts, lengths = backbone.prompts(2), thought_length(backbone, 6)
    for (question, sample), one in noisy(backbone, 2, num_return_sequences=2, seed=1).items():
        prompt = prompts[question]
        expected = backbone.reference.answer(
            prompt,
            length=lengths.get("latent_length"),
            most=lengths.get("max_latent_length"),
            max_new_tokens=24,
            noise=ReferenceNoise(NOISE[backbone.kind], sample_key(1, prompt, sample)),
        )
        assert list(one.answer_ids) == expected.sequence[len(prompt) + len(one.thoughts) + 1 :]
        assert one.truncated == expected.truncated
        torch.testing.assert_close(one.thoughts, expected.thoughts, rtol=0, atol=1e-3)


def test_it_varies_where_there_is_noise_and_a_thought():
    for std, thoughts, varies in ((0.5, 1, True), (0.5, 0, False), (0.0, 6, False)):
        assert Noise(noise_std=std).varies(BACKBONES["coconut"], thoughts) is varies
    assert not Noise().prompt_varies
    assert not Noise().reading_varies


@pytest.mark.parametrize("std", [-0.1, float("inf"), "0.1", True])
def test_other_strengths_are_refused(std):
    with pytest.raises(ModelError, match=r"noise_std=.*; allowed is a number at least 0"):
        Noise(noise_std=std)


def test_a_draw_has_the_numbers_of_its_rows_addresses():
    keys = torch.stack([sample_key(0, [3], sample) for sample in range(4)])
    for name, options in (("normal", {}), ("uniform", {}), ("bernoulli", {"p": 0.3})):
        draw = Draw(keys, torch.arange(4))
        found = getattr(draw, name)(9, site=5, **options)
        expected = getattr(randomness, name)(keys, torch.arange(4), site=5, size=9, **options)
        assert torch.equal(found, expected)
        assert not torch.equal(found, getattr(draw, name)(9, **options))  # site 0


def test_a_site_is_drawn_from_once():
    draw = Draw(torch.arange(3), torch.arange(3))
    first = draw.uniform(4)
    assert not torch.equal(first, draw.uniform(4, site=1))
    for again in (lambda: draw.uniform(4), lambda: draw.normal(2, site=1)):
        with pytest.raises(ModelError, match=r"drew twice from site [01] at one step"):
            again()
    for site in (-1, randomness.ANSWER_SITE):
        with pytest.raises(ModelError, match=f"site={site} of a sampler's draw; allowed are 0 to"):
            draw.bernoulli(2, p=0.5, site=site)


def test_the_largest_share_that_is_dropped():
    # Of 65,536 lanes one is kept, and not two: 64 of 2^22, give or take five standard deviations.
    keys, positions = torch.arange(1 << 10), torch.zeros(1 << 10, dtype=torch.long)
    kept = randomness.bernoulli(keys, positions, site=0, size=1 << 12, p=1 - 1e-9).sum()
    assert 24 < kept < 104

"""The generator's published values, its statistics, and its addresses."""

import pytest
import torch
from scipy import stats

from latent_tts.models.samplers import randomness
from tests.models.reference import GOLDEN, WORD, sample_key, splitmix

# https://rosettacode.org/wiki/Pseudo-random_numbers/Splitmix64.
PUBLISHED = {
    1234567: [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ],
}
BELOW = 4e-5  # of a two-sided z-test: |z| < 4.1


def signed(word: int) -> int:
    return word - (1 << 64) if word >> 63 else word


def keys(count: int, seed: int = 5) -> torch.Tensor:
    question = torch.tensor([randomness.question_key(seed, [1, 2, 3])])
    return randomness.sample_keys(question.expand(count), torch.arange(count))


@pytest.mark.parametrize("seed", PUBLISHED)
def test_mix_gives_the_published_sequence(seed):
    states = [signed((seed + step * GOLDEN) & WORD) for step in range(1, 6)]
    assert randomness.mix(torch.tensor(states)).tolist() == list(map(signed, PUBLISHED[seed]))
    assert [splitmix(state & WORD) for state in states] == PUBLISHED[seed]


def test_keys_are_those_of_pythons_integers():
    prompt, samples = [7, 50257, 0], torch.tensor([0, 1, 1000, 2**40])
    questions = torch.tensor(randomness.question_key(-3, prompt)).expand(4)
    expected = [int(sample_key(-3, prompt, sample)) for sample in samples.tolist()]
    assert randomness.sample_keys(questions, samples).tolist() == expected


def test_numbers_are_those_of_pythons_integers():
    key, position, site = int(sample_key(0, [4], 2)), 17, 3
    state = splitmix((key + (position + 1) * GOLDEN + site * 2862933555777941757) & WORD)
    words = [splitmix((state + position * GOLDEN) & WORD) for position in range(1, 6)]
    address = torch.tensor([key]), torch.tensor([position])
    uniform = randomness.uniform(*address, site=site, size=5)
    assert uniform.tolist() == [[((word >> 11) + 0.5) / 2**53 for word in words]]
    # Four masks a word, the lowest 16 bits first.
    lanes = [word >> 16 * lane & 0xFFFF for word in words for lane in range(4)]
    signed_lanes = [lane - 65536 if lane >> 15 else lane for lane in lanes]
    mask = randomness.bernoulli(*address, site=site, size=18, p=0.25)
    assert mask.tolist() == [[lane >= 0.25 * 65536 - 32768 for lane in signed_lanes[:18]]]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 768])
def test_a_longer_draw_begins_with_the_shorter_one(size):
    address = keys(3), torch.arange(3)
    longer = size + 5
    for draw in (
        randomness.uniform,
        randomness.normal,
        lambda *address, **where: randomness.bernoulli(*address, **where, p=0.3),
    ):
        first = draw(*address, site=2, size=size)
        assert first.shape == (3, size)
        assert torch.equal(draw(*address, site=2, size=longer)[:, :size], first)


def test_uniform_numbers_are_uniform():
    numbers = randomness.uniform(keys(50), torch.zeros(50).long(), site=0, size=2000).flatten()
    assert numbers.min() > 0
    assert numbers.max() < 1
    assert stats.kstest(numbers.numpy(), "uniform").pvalue > 0.001


@pytest.mark.parametrize("part", [slice(0, None, 2), slice(1, None, 2), slice(None)])
def test_normal_numbers_are_normal(part):
    numbers = randomness.normal(keys(50), torch.zeros(50).long(), site=0, size=2000)[:, part]
    assert stats.kstest(numbers.flatten().numpy(), "norm").pvalue > 0.001


@pytest.mark.parametrize("p", [0.0, 0.01, 0.03, 0.2, 0.5, 0.9, 0.99999])
def test_masks_keep_their_share(p):
    kept = randomness.bernoulli(keys(400), torch.zeros(400).long(), site=0, size=1003, p=p)
    rounded = min(round(p * 65536), 65535) / 65536
    count = int(kept.sum())
    assert stats.binomtest(count, kept.numel(), 1 - rounded).pvalue > BELOW


def test_the_largest_p_drops_nearly_everything():
    kept = randomness.bernoulli(keys(100), torch.arange(100), site=0, size=1000, p=1 - 1e-12)
    assert kept.sum() < 20


def test_neighbouring_addresses_are_uncorrelated():
    samples, positions, sites, size = 20, 20, 8, 64
    row_keys = keys(samples)[:, None].expand(samples, positions)
    positions = torch.arange(positions).expand(samples, positions)
    numbers = torch.stack(
        [randomness.normal(row_keys, positions, site=site, size=size) for site in range(sites)]
    )
    masks = torch.stack(
        [
            randomness.bernoulli(row_keys, positions, site=site, size=size, p=0.3).double()
            for site in range(sites)
        ]
    )
    for values in (numbers, (masks - 0.7) / (0.3 * 0.7) ** 0.5):
        for axis in range(4):
            for lag in (1, 2):
                length = values.shape[axis] - lag
                products = values.narrow(axis, 0, length) * values.narrow(axis, lag, length)
                z = float(products.sum()) / products.numel() ** 0.5
                assert abs(z) < 4, (axis, lag)


def test_every_part_of_the_address_matters():
    def first(seed=0, prompt=(1, 2), sample=0, position=0, site=0):
        key = sample_key(seed, prompt, sample)
        return float(randomness.uniform(key, torch.tensor(position), site=site, size=1))

    draws = [
        first(),
        first(seed=1),
        first(prompt=(1, 2, 3)),
        first(prompt=(12,)),
        first(prompt=(2, 1)),
        first(sample=1),
        first(position=1),
        first(site=1),
    ]
    assert len(set(draws)) == len(draws)

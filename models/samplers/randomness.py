"""Addressed randomness: every random number is a pure function of where it is used.

The address is (seed, question, sample, position, site, element). A question is addressed by the
token ids of its prompt, so no bookkeeping can go wrong: the same question gives the same samples
alone or in a batch, in any order, on any number of processes, and the first k of N samples are the
samples of a run of k.

The generator is SplitMix64 (Steele, Lea, Flood 2014: "Fast splittable pseudorandom number
generators"), used as a keyed counter: `mix` is its output function, and a key is extended by one
more coordinate by mixing it in. It needs 64-bit integer products only, which wrap the same way on
every device, so CPU and GPU draw the same bits.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from ..errors import ModelError

# The constants of SplitMix64 as signed 64-bit integers.
_GOLDEN = -7046029254386353131
_MIX_1 = -4658895280553007687
_MIX_2 = -7723592293110705685
_SITE = 2862933555777941757
_LANES = 4

# Sites, the part of an address that says for what a number is drawn. Samplers have those below.
ANSWER_SITE = 1 << 20  # tokens
BRANCH_SITE = 1 << 21  # keys of completions and beams
LATENT_SITE = 1 << 22  # a latent head's own distribution, while it is trained


def _shift_xor(z: torch.Tensor, bits: int) -> torch.Tensor:
    # torch shifts int64 arithmetically; the mask makes it the logical shift that the mixer needs.
    # In place, because numbers are drawn for every element of a forward pass.
    return (z >> bits).bitwise_and_((1 << (64 - bits)) - 1).bitwise_xor_(z)


def mix(z: torch.Tensor) -> torch.Tensor:
    """Return SplitMix64's output function of i64 states, elementwise."""
    z = _shift_xor(z, 30).mul_(_MIX_1)
    z = _shift_xor(z, 27).mul_(_MIX_2)
    return _shift_xor(z, 31)


def question_key(seed: int, prompt: Sequence[int]) -> int:
    """Return the 64-bit key of a question: a digest of the seed and the prompt's token ids."""
    text = f"{seed}:{','.join(map(str, prompt))}"
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)


def sample_keys(questions: torch.Tensor, samples: torch.Tensor) -> torch.Tensor:
    """Return each row's key i64[R] from its question's key i64[R] and sample index i64[R]."""
    return mix(questions + (samples + 1) * _GOLDEN)


def branch_keys(keys: torch.Tensor, step: int, count: int) -> torch.Tensor:
    """Return the keys i64[R, count] of trajectories that leave others, i64[R], after `step`.

    A branch's key is a random word of the trajectory that it leaves, at a site of its own, so the
    first branches of many are those of few, and no two branches share one.
    """
    return _words(keys, torch.full_like(keys, step), BRANCH_SITE, count)


def _words(
    keys: torch.Tensor, positions: torch.Tensor, site: int | torch.Tensor, count: int
) -> torch.Tensor:
    """Return i64[..., count] random words for each (key, position), both i64[...].

    For sites i64[K] they are i64[K, ..., count].
    """
    return _words_at(keys, positions, site, torch.arange(count, device=keys.device))


def _words_at(
    keys: torch.Tensor, positions: torch.Tensor, site: int | torch.Tensor, elements: torch.Tensor
) -> torch.Tensor:
    """Return the random words of some elements, i64[count] or i64[..., count]."""
    offset: int | torch.Tensor
    if isinstance(site, int):
        offset = (site * _SITE + (1 << 63)) % (1 << 64) - (1 << 63)  # Python's integers do not wrap
    else:
        offset = (site * _SITE).view(-1, *[1] * keys.dim())
    state = mix(keys + (positions + 1) * _GOLDEN + offset)
    return mix(state.unsqueeze(-1) + (elements + 1) * _GOLDEN)


def bernoulli(
    keys: torch.Tensor, positions: torch.Tensor, *, site: int | torch.Tensor, size: int, p: float
) -> torch.Tensor:
    """Return bool[..., size], True with probability 1 - p; for sites i64[K] bool[K, ..., size].

    Args:
        keys: i64[...], the rows' keys.
        positions: i64[...], the position (attended tokens before it) each number belongs to.
        site: which site in the model, or several of them.
        size: how many elements.
        p: probability of False, in [0, 1), rounded to a multiple of 1/65536 below 1.
    """
    words = _words(keys, positions, site, -(-size // _LANES))
    lanes = words.view(torch.int16)[..., :size]
    # 65536 would wrap around in 16 bits, and keep everything.
    return lanes >= min(round(p * 65536), 65535) - 32768


def normal(keys: torch.Tensor, positions: torch.Tensor, *, site: int, size: int) -> torch.Tensor:
    """Return f64[..., size] standard normal numbers (Box and Muller, 32-bit uniforms).

    float64, so that the logarithm's and the cosine's last bit, in which devices differ, is gone
    once the result is rounded to float32.
    """
    words = _words(keys, positions, site, -(-size // 2))
    high = (words >> 32) & 0xFFFFFFFF
    low = words & 0xFFFFFFFF
    radius = torch.sqrt(-2 * torch.log((high.double() + 0.5) * 2.0**-32))
    angle = (low.double() + 0.5) * (2 * math.pi * 2.0**-32)
    pair = torch.stack((radius * torch.cos(angle), radius * torch.sin(angle)), dim=-1)
    return pair.flatten(-2)[..., :size]


def uniform(keys: torch.Tensor, positions: torch.Tensor, *, site: int, size: int) -> torch.Tensor:
    """Return f64[..., size] numbers in (0, 1)."""
    return _to_uniform(_words(keys, positions, site, size))


def uniform_at(
    keys: torch.Tensor, positions: torch.Tensor, elements: torch.Tensor, *, site: int
) -> torch.Tensor:
    """Return f64[..., K], of the numbers in (0, 1) of `uniform` those of elements i64[..., K]."""
    return _to_uniform(_words_at(keys, positions, site, elements))


def _to_uniform(words: torch.Tensor) -> torch.Tensor:
    return (((words >> 11) & ((1 << 53) - 1)).double() + 0.5) * 2.0**-53


@dataclass(frozen=True)
class Draw:
    """Random numbers at the addresses of rows: what a sampler draws from.

    A sampler that draws twice at a step gives each draw a `site` of its own, since one address has
    one number.

    Attributes:
        keys: i64[R], the rows' keys.
        positions: i64[R], the position that each row's next input gets.
    """

    keys: torch.Tensor
    positions: torch.Tensor
    _drawn: set[int] = field(default_factory=set, init=False, repr=False, compare=False)

    def __getitem__(self, rows: torch.Tensor | slice) -> "Draw":
        """Return the random numbers of some rows, i64[R'] or a range."""
        return Draw(self.keys[rows], self.positions[rows])

    def normal(self, size: int, *, site: int = 0) -> torch.Tensor:
        """Return f64[R, size] standard normal numbers.

        Raises:
            ModelError: the site was drawn from, or is none of a sampler's; so all others.
        """
        return normal(self.keys, self.positions, site=self._new(site), size=size)

    def uniform(self, size: int, *, site: int = 0) -> torch.Tensor:
        """Return f64[R, size] numbers in (0, 1)."""
        return uniform(self.keys, self.positions, site=self._new(site), size=size)

    def uniform_of(self, tokens: torch.Tensor, *, site: int = 0) -> torch.Tensor:
        """Return f64[R, K] numbers in (0, 1) that belong to tokens i64[R, K], whatever their rank.

        They are those of `uniform` at the tokens' ids.
        """
        return uniform_at(self.keys, self.positions, tokens, site=self._new(site))

    def bernoulli(self, size: int, *, p: float, site: int = 0) -> torch.Tensor:
        """Return bool[R, size], False with probability p."""
        return bernoulli(self.keys, self.positions, site=self._new(site), size=size, p=p)

    def _new(self, site: int) -> int:
        if not 0 <= site < ANSWER_SITE:
            raise ModelError(
                f"site={site} of a sampler's draw; allowed are 0 to {ANSWER_SITE - 1}."
            )
        if site in self._drawn:
            raise ModelError(
                f"A sampler drew twice from site {site} at one step, which gives the same numbers "
                "twice. Give each draw a site= of its own."
            )
        self._drawn.add(site)
        return site

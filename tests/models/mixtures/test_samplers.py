"""Noise of mixtures' weights against the distributions that it is said to have."""

import numpy as np
import pytest
import torch
from scipy import stats

from latent_tts.models import SAMPLERS, Draw
from latent_tts.models.backbones.mixture import Mixing, Mixture
from latent_tts.models.engine.mixed import mixed_tokens
from latent_tts.models.samplers import randomness
from latent_tts.models.samplers.dirichlet import log_gamma
from tests.marks import slow_but
from tests.models.engine.test_waits import waits
from tests.models.mixtures.test_latent_sft import LENGTHS

ROWS = 4000
ALPHA = 0.001  # a right distribution is refused once in a thousand, and the numbers are fixed


def draw(rows=ROWS):
    keys = randomness.mix(torch.arange(rows) * 977 + 5)
    return Draw(keys, torch.arange(rows) % 7)


def mixture(probabilities, rows=ROWS):
    """The same weights in every row, of tokens that differ from row to row."""
    weights = torch.tensor(probabilities, dtype=torch.float64)
    ids = torch.arange(len(probabilities)) + torch.arange(rows)[:, None] % 50
    return Mixture(ids, weights.log().expand(rows, -1))


P = [0.5, 0.3, 0.15, 0.05]


def test_two_sided_noise_is_gumbel():
    """Differences of log-weights are those of two Gumbel numbers: logistic."""
    sampler = SAMPLERS["gumbel"](gumbel_scale=2.0, gumbel_temperature=0.5)
    found = sampler.weigh(mixture(P), draw()).log_probs * 0.5  # less a constant of the row
    apart = (found[:, 0] - found[:, 1] - np.log(P[0] / P[1])) / 2.0
    assert stats.kstest(apart.numpy(), "logistic").pvalue > ALPHA
    largest = found.argmax(dim=-1)  # at scale 1 the largest is a sample of p
    plain = SAMPLERS["gumbel"]().weigh(mixture(P), draw())
    counts = torch.bincount(plain.log_probs.argmax(dim=-1), minlength=4).numpy()
    assert stats.chisquare(counts, np.array(P) * ROWS).pvalue > ALPHA
    assert len(set(largest.tolist())) == 4


def test_one_sided_noise_is_clamped_and_never_takes_away():
    scale = 0.8
    sampler = SAMPLERS["gumbel"](gumbel_scale=scale, one_sided=True)
    one = mixture([0.9999, 0.0001], rows=ROWS)
    apart = sampler.weigh(one, draw()).log_probs
    uniform = draw().uniform_of(one.ids)
    noise = (-(-uniform.log()).log()).clamp(-1.5, 3.0) + 1.5
    assert noise.min() == 0
    assert noise.max() == 4.5
    expected = one.log_probs + scale * noise
    torch.testing.assert_close(apart, expected.log_softmax(dim=-1))
    inside = (noise > 0) & (noise < 4.5)
    clamped = stats.gumbel_r.cdf(-1.5), stats.gumbel_r.sf(3.0)
    share = [float((noise[:, 0] == 0).double().mean()), float((noise[:, 0] == 4.5).double().mean())]
    assert share == pytest.approx(clamped, abs=0.01)
    values = (noise - 1.5)[inside].numpy()
    low, high = stats.gumbel_r.cdf([-1.5, 3.0])
    assert stats.kstest((stats.gumbel_r.cdf(values) - low) / (high - low), "uniform").pvalue > ALPHA


@pytest.mark.parametrize("shape", [0.01, 0.3, 1.0, 2.5, 40.0])
def test_gamma_numbers_are_gamma(shape):
    tokens = torch.arange(3).expand(ROWS, 3)
    found = log_gamma(torch.full((ROWS, 3), shape, dtype=torch.float64), tokens, draw())
    for column in found.T.numpy():  # their logarithm, since small shapes leave float64's range
        assert stats.kstest(column, stats.loggamma(shape).cdf).pvalue > ALPHA
    assert abs(np.corrcoef(found.T.numpy())[0, 1]) < 0.06


@pytest.mark.parametrize("alpha", [0.5, 4.0, 300.0])
def test_drawn_weights_are_dirichlet(alpha):
    """Each weight is Beta(alpha p, alpha (1 - p)), and they sum to 1."""
    found = SAMPLERS["dirichlet"](dirichlet_alpha=alpha).weigh(mixture(P), draw()).weights
    torch.testing.assert_close(found.sum(dim=-1), torch.ones(ROWS, dtype=torch.float64))
    for number, share in enumerate(P):
        column = found[:, number].clamp(1e-300, 1).numpy()
        assert stats.kstest(column, stats.beta(alpha * share, alpha * (1 - share)).cdf).pvalue > (
            ALPHA
        )
    moved = SAMPLERS["dirichlet"](dirichlet_alpha=1e9).weigh(mixture(P), draw()).weights
    torch.testing.assert_close(moved, mixture(P).weights, rtol=0, atol=1e-3)


def test_what_is_left_out_stays_out():
    one = mixture([0.7, 0.3, 0.0])
    for name in ("gumbel", "dirichlet"):
        found = SAMPLERS[name]().weigh(one, draw())
        assert found.weights[:, 2].eq(0).all()
        assert found.weights.isfinite().all()


@pytest.mark.parametrize("name", ["gumbel", "dirichlet"])
def test_noise_belongs_to_the_token_and_the_address(name):
    one = mixture(P, rows=6)
    found = SAMPLERS[name]().weigh(one, draw(6))
    order = torch.tensor([2, 0, 3, 1])
    other = Mixture(one.ids[:, order], one.log_probs[:, order])
    again = SAMPLERS[name]().weigh(other, draw(6))
    torch.testing.assert_close(again.weights, found.weights[:, order])
    part = SAMPLERS[name]().weigh(one.select(slice(2, 5)), draw(6)[2:5])
    torch.testing.assert_close(part.weights, found.weights[2:5])


def test_numbers_of_tokens_are_those_of_their_indices():
    ids = torch.tensor([[7, 0], [1, 2], [3, 9], [4, 4], [8, 6]])
    torch.testing.assert_close(
        draw(5).uniform_of(ids), draw(5).uniform(10).gather(1, ids), rtol=0, atol=0
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", slow_but(["gumbel", "dirichlet"], "gumbel"))
def test_drawn_mixtures_are_the_same_alone_and_in_batches(mixed, name):
    one = mixed("llama")
    settings = {**LENGTHS, "latent_do_sample_by": name, "num_return_sequences": 3}
    settings |= {"max_latent_length": 4}
    together = one.sample(settings, questions=3)
    assert len({t.thoughts[0].numpy().tobytes() for t in together.values()}) == 9
    for (number, sample), found in together.items():
        (alone,) = one.sample(settings, prompts=[one.prompts()[number]], samples=[sample]).values()
        torch.testing.assert_close(alone.mixture.weights, found.mixture.weights, rtol=0, atol=2e-3)
        assert alone.answer_ids == found.answer_ids


def test_a_step_with_mixtures_waits_once(mixed):
    """The mixture, the stop and the answers share one product with the head, and one wait."""
    steps = waits(mixed("llama"), {**LENGTHS, "do_sample": True, "top_p": 0.9})
    assert len(steps) > 5
    assert len({rows for rows, _ in steps}) > 1  # rows leave in some of them
    assert [counts for _, counts in steps if dict(counts) != {"tolist": 1}] == []


def test_one_product_with_the_head_serves_a_step(mixed):
    model, calls = mixed("llama").model, []
    hook = model.lm_head.register_forward_hook(lambda module, args, out: calls.append(len(out)))
    try:
        settings = model.settings(**LENGTHS)
        hidden = torch.randn(5, 48)
        thinking = torch.tensor([True, False, True, True, False])
        found = mixed_tokens(
            model,
            hidden,
            draw(5),
            settings,
            settings.mixing,
            thinking=thinking,
            temperature=torch.zeros(5),
        )
    finally:
        hook.remove()
    assert calls == [5]
    assert found.finite.all()
    logits = hidden @ model.lm_head.weight.T
    assert torch.equal(found.tokens[thinking], logits.argmax(dim=-1)[thinking])
    allowed = logits[:, : len(model.tokenizer)].argmax(dim=-1)  # padded ids are never answered
    assert torch.equal(found.tokens[~thinking], allowed[~thinking])
    assert torch.equal(found.mixture.ids, Mixing().keep(logits).ids)

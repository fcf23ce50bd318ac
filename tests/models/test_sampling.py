"""Noise and dropout are what they are said to be, at the addresses they are said to be at."""

import warnings

import pytest
import torch
from scipy import stats

from latent_tts.models import (
    EngineOptions,
    LatentGenerationConfig,
    LatentSettings,
    ModelError,
    engine,
    randomness,
)
from latent_tts.models.samplers import DropoutSampler
from tests.models.reference import Dropout, sample_key
from tests.models.sampled import check_same, thought_length

NOISE = {"coconut": 0.6, "codi": 1.4, "colar": 0.01}
DROPOUT = {"coconut": 0.2, "codi": 0.2, "colar": 0.1}


def noise_of(backbone, prompt, thoughts):
    """The noise f[T, D] in a sample's thoughts, in units of sigma."""
    clean = backbone.reference.replayed_thoughts(prompt, thoughts)
    return (thoughts - clean) / NOISE[backbone.kind]


def noisy(backbone, prompts, **settings):
    return backbone.generate(
        prompts,
        latent_do_sample_by="noise",
        noise_std=NOISE[backbone.kind],
        max_new_tokens=24,
        **thought_length(backbone, 6),
        **settings,
    )


def test_noise_is_sigma_times_the_addressed_normal_numbers(backbone):
    prompts, count = backbone.prompts(6), 4
    output = noisy(backbone, prompts, num_return_sequences=count, seed=11)
    compared = 0
    for row, length in enumerate(output.latent_lengths.tolist()):
        if length == 0:
            continue
        prompt = prompts[row // count]
        key = sample_key(11, prompt, row % count).expand(length)
        positions = len(prompt) + torch.arange(length)
        expected = randomness.normal(key, positions, site=0, size=48).float()
        noise = noise_of(backbone, prompt, output.latent_thoughts[row, :length])
        torch.testing.assert_close(noise, expected, rtol=0, atol=2e-3)
        compared += length
    assert compared > 30


@pytest.mark.parametrize("kind", ["coconut", "codi"])
def test_noise_has_mean_0_and_deviation_sigma_and_is_independent(backbones, kind):
    backbone, count = backbones[kind], 8
    prompts = backbone.prompts(6)
    output = noisy(backbone, prompts, num_return_sequences=count, seed=3)
    noise = torch.stack(
        [
            noise_of(backbone, prompts[row // count], thoughts)
            for row, thoughts in enumerate(output.latent_thoughts)
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


def test_a_sampled_answer_follows_from_the_noisy_thoughts(backbone):
    """The answer is what the reference reads out of the thoughts that were returned."""
    prompts = backbone.prompts(3)
    output = noisy(backbone, prompts, num_return_sequences=2, seed=1)
    reference = backbone.reference
    width = output.sequences.shape[1] - int(
        (output.latent_lengths + 1 + output.answer_lengths).max()
    )
    for row, thoughts in enumerate(output.latent_thoughts):
        length = int(output.latent_lengths[row])
        ids = output.sequences[row, width + length + 1 :][: output.answer_lengths[row]].tolist()
        inputs = reference.embed(prompts[row // 2]) + list(thoughts[:length])
        inputs += reference.embed([reference.end])
        with torch.no_grad():
            for token in ids:
                assert int(reference.logits(reference.hidden(inputs)).argmax()) == token
                inputs += reference.embed([token])


@pytest.mark.parametrize("scope", ["prompt_and_thoughts", "thoughts"])
@pytest.mark.parametrize("site", ["residual", "feed_forward"])
def test_dropout_equals_the_reference(backbone, site, scope):
    prompts, count, seed = backbone.prompts(4), 3, 21
    lengths = thought_length(backbone, 4)
    p = DROPOUT[backbone.kind]
    output = backbone.generate(
        prompts,
        dropout_p=p,
        dropout_site=site,
        dropout_scope=scope,
        num_return_sequences=count,
        sample_offset=5,
        seed=seed,
        max_new_tokens=16,
        **lengths,
    )
    width = max(map(len, prompts))
    for row in range(len(prompts) * count):
        prompt = prompts[row // count]
        expected = backbone.reference.answer(
            prompt,
            length=lengths.get("latent_length"),
            most=lengths.get("max_latent_length"),
            max_new_tokens=16,
            dropout=Dropout(p, site, scope, sample_key(seed, prompt, 5 + row % count)),
        )
        got = output.sequences[row, width - len(prompt) :].tolist()
        assert got[: len(expected.sequence)] == expected.sequence
        length = len(expected.thoughts)
        assert output.latent_lengths[row] == length
        torch.testing.assert_close(
            output.latent_thoughts[row, :length], expected.thoughts, rtol=0, atol=1e-4
        )


def test_colar_with_a_fixed_length_reads_all_thoughts_under_dropout(backbones):
    backbone = backbones["colar"]
    prompt = backbone.prompts(1)[0]
    output = backbone.generate(
        [prompt], dropout_p=0.1, dropout_scope="thoughts", latent_length=2, max_new_tokens=16
    )
    expected = backbone.reference.answer(
        prompt,
        length=2,
        max_new_tokens=16,
        dropout=Dropout(0.1, "feed_forward", "thoughts", sample_key(0, prompt, 0)),
    )
    answer = output.sequences[0].tolist()[: len(expected.sequence)]
    assert answer == expected.sequence


@pytest.mark.parametrize(
    ("kind", "scope", "first", "last"),
    [
        # Counted from the prompt's end; the thoughts are 0, 1, 2 and the end marker is 3.
        ("coconut", "prompt_and_thoughts", "prompt", 1),
        ("coconut", "thoughts", 0, 1),
        ("codi", "prompt_and_thoughts", "prompt", 1),
        ("codi", "thoughts", 0, 1),
        ("colar", "prompt_and_thoughts", "prompt", "answer"),
        ("colar", "thoughts", 0, "answer"),
    ],
)
def test_dropout_masks_exactly_the_positions_it_should(
    backbones, monkeypatch, kind, scope, first, last
):
    backbone, masked = backbones[kind], set()
    draw = randomness.bernoulli

    def recorded(keys, positions, **where):
        masked.update(positions.flatten().tolist())
        return draw(keys, positions, **where)

    monkeypatch.setattr(randomness, "bernoulli", recorded)
    # What drafts read may be forgotten again.
    monkeypatch.setattr(backbone.model, "engine", EngineOptions(drafts=False))
    prompt = backbone.prompts(1)[0]
    output = backbone.generate(
        [prompt], dropout_p=0.05, dropout_scope=scope, latent_length=3, max_new_tokens=20
    )
    assert output.answer_lengths[0] > 1
    begin = 0 if first == "prompt" else len(prompt) + first
    # The last answer token is not read.
    end = len(prompt) + (2 + int(output.answer_lengths[0]) if last == "answer" else last)
    assert masked == set(range(begin, end + 1))


@pytest.mark.parametrize("p", [0.03, 0.2, 0.5])
@pytest.mark.parametrize("site", ["residual", "feed_forward"])
def test_every_branch_is_masked_and_rescaled(backbone, site, p):
    settings = LatentSettings(latent_length=1, dropout_p=p, dropout_site=site)
    sampler = DropoutSampler(settings)
    colar = backbone.kind == "colar"
    model = backbone.model
    feed_forward, attention = ("down_proj", "o_proj") if colar else ("mlp.c_proj", "attn.c_proj")
    inputs = torch.randn(16, 30, 48, generator=torch.Generator().manual_seed(0))
    keys = sample_key(0, [1], 0) + torch.arange(16)
    positions = torch.arange(30).expand(16, 30)
    for name, module in model.named_modules():
        if not name.endswith((feed_forward, attention)):
            continue
        x = inputs.repeat(1, 1, 4)[..., : 96 if colar else 192]
        x = x if name.endswith(feed_forward) else inputs
        with torch.no_grad():
            plain = module(x)
            with sampler.installed(model):
                assert torch.equal(module(x), plain)  # nothing is addressed yet
                sampler.address(keys, positions)
                dropped = module(x)
                sampler.address(keys, positions, torch.arange(16) % 2 == 0)
                half = module(x)
                sampler.address(keys, positions, torch.zeros(16, dtype=torch.bool))
                assert torch.equal(module(x), plain)
            assert torch.equal(module(x), plain)
        if site == "feed_forward" and name.endswith(attention):
            assert torch.equal(dropped, plain)
            continue
        kept = dropped != 0
        torch.testing.assert_close(dropped[kept], plain[kept] / (1 - p))
        share = round(p * 65536) / 65536
        assert stats.binomtest(int(kept.sum()), kept.numel(), 1 - share).pvalue > 1e-4
        assert torch.equal(half[::2], dropped[::2])
        assert torch.equal(half[1::2], plain[1::2])


def test_sampled_answers_follow_the_softmax(backbone):
    prompt = backbone.prompts(3)[2]
    count, temperature = 4000, 6.0
    output = backbone.generate(
        [prompt],
        latent_do_sample=False,
        do_sample=True,
        temperature=temperature,
        latent_length=1,
        max_new_tokens=3,
        num_return_sequences=count,
        seed=2,
    )
    assert set(output.answer_lengths.tolist()) == {1}
    reference = backbone.reference
    with torch.no_grad():
        inputs = reference.embed(prompt)
        inputs.append(reference.next_thought(reference.hidden(inputs)))
        inputs += reference.embed([reference.end])
        logits = reference.logits(reference.hidden(inputs)).double()
    expected = torch.softmax(logits / temperature, dim=0) * count
    seen = torch.bincount(output.sequences[:, -1], minlength=len(logits)).double()
    rarest = expected.argsort()[:20]  # together they are not too few for the test
    common = torch.ones_like(expected, dtype=torch.bool).index_fill_(0, rarest, False)
    assert expected[common].min() > 1
    pooled = [
        torch.cat((counts[common], counts[rarest].sum()[None])) for counts in (seen, expected)
    ]
    assert stats.chisquare(*(counts.numpy() for counts in pooled)).pvalue > 0.001
    # Each is the arg-max under the Gumbel numbers of its own address.
    keys = torch.stack([sample_key(2, prompt, sample) for sample in range(20)])
    at = torch.full((20,), len(prompt) + 2)
    uniform = randomness.uniform(keys, at, site=1 << 20, size=len(logits))
    best = (logits / temperature - torch.log(-torch.log(uniform))).argmax(dim=1)
    assert torch.equal(output.sequences[:20, -1], best)


def test_few_rows_at_a_time_sample_the_same_answers(backbone, monkeypatch):
    settings = {"latent_do_sample": False, "do_sample": True, "temperature": 3.0}
    settings |= {"num_return_sequences": 5, "max_new_tokens": 16, **thought_length(backbone, 4)}
    expected = backbone.generate(backbone.prompts(3), **settings)
    sizes, uniform = [], randomness.uniform

    def watched(keys, *args, **options):
        sizes.append(len(keys))
        return uniform(keys, *args, **options)

    monkeypatch.setattr(randomness, "uniform", watched)
    monkeypatch.setattr(engine, "_SAMPLED_ROWS", 2)
    check_same(backbone.generate(backbone.prompts(3), **settings), expected)
    assert max(sizes) == 2


@pytest.mark.parametrize("do_sample", [False, True])
def test_tokens_may_be_forbidden_by_a_hook(backbone, do_sample):
    settings = {"latent_do_sample": False, "do_sample": do_sample, "max_new_tokens": 16}
    settings |= thought_length(backbone, 4)
    usual = backbone.generate(backbone.prompts(2), **settings).answer_ids()
    banned = usual[0][0]

    def ban(module, args, output):
        return output.index_fill(-1, torch.tensor([banned]), -torch.inf)

    hook = backbone.model.get_output_embeddings().register_forward_hook(ban)
    answers = backbone.generate(backbone.prompts(2), **settings).answer_ids()
    hook.remove()
    assert all(answers)
    assert not any(banned in ids for ids in answers)


def test_sampling_answers_does_not_change_when_colar_stops(backbones):
    backbone = backbones["colar"]
    settings = {"latent_do_sample": False, "max_latent_length": 8, "max_new_tokens": 16}
    greedy = backbone.generate(backbone.prompts(8), **settings)
    sampled = backbone.generate(backbone.prompts(8), do_sample=True, temperature=9.0, **settings)
    assert torch.equal(greedy.latent_lengths, sampled.latent_lengths)
    assert not torch.equal(greedy.answer_lengths, sampled.answer_lengths)


@pytest.mark.parametrize(
    ("modules", "message"),
    [
        ({"residual": (".nope",)}, "no module of COCONUTGPT2 ends with .nope, so nothing would be"),
        ({"feed_forward": (".mlp",)}, "ends with anything, so nothing would be dropped"),
    ],
)
def test_a_dropout_site_without_modules_is_refused(backbones, monkeypatch, modules, message):
    model, prompt = backbones["coconut"].model, torch.tensor([[3, 4]])
    monkeypatch.setattr(type(model), "dropout_modules", modules)
    with pytest.raises(ModelError, match=message):
        model.generate(prompt, dropout_p=0.2, dropout_site="residual")


def test_a_dropout_site_may_be_one_name(backbones, monkeypatch):
    model, prompt = backbones["coconut"].model, torch.tensor([[3, 4]])
    settings = {"dropout_p": 0.2, "dropout_site": "residual", "num_return_sequences": 3}
    expected = model.generate(prompt, **settings)
    monkeypatch.setattr(type(model), "dropout_modules", {"residual": "c_proj"})
    assert torch.equal(model.generate(prompt, **settings), expected)


@pytest.mark.parametrize("given", [None, "hello", [[3, 4]], torch.tensor([[3.0, 4.0]])])
def test_what_is_no_tensor_of_token_ids_is_refused(backbones, given):
    with pytest.raises(ModelError, match="needs input_ids, a tensor i64"):
        backbones["coconut"].model.generate(given)


def test_what_a_config_asks_for_in_vain_is_said(backbones):
    model, prompt = backbones["coconut"].model, torch.tensor([[3, 4]])
    config = LatentGenerationConfig(latent_do_sample=False, do_sample=True, top_p=0.9, seed=3)
    with pytest.warns(UserWarning, match=r"generation_config asks for top_p=0\.9, which"):
        model.generate(prompt, generation_config=config)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.generate(prompt, generation_config=LatentGenerationConfig(latent_do_sample=False))


def test_samples_have_no_negative_numbers(backbones):
    with pytest.raises(ModelError, match="sample_offset=-1; allowed are"):
        backbones["coconut"].model.generate(torch.tensor([[3, 4]]), sample_offset=-1)

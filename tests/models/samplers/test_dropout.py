"""Dropout masks what it is said to mask, at the addresses it is said to be at."""

import pytest
import torch
from scipy import stats

from latent_tts.models import BACKBONES, ModelError
from latent_tts.models.samplers import Dropout
from tests.marks import slow_but
from tests.models.reference import Dropout as ReferenceDropout
from tests.models.reference import sample_key
from tests.models.sampled import thought_length
from tests.models.samplers.masks import seeing_masks

QUICK_BACKBONES = ("colar",)

DROPOUT = {"coconut": 0.2, "codi": 0.2, "colar": 0.1}
FEED_FORWARD = (".mlp.c_proj", ".mlp.down_proj")


CASES = [
    *(("residual", "prompt_and_thoughts", "step"), ("residual", "thoughts", "sample")),
    *(("feed_forward", "prompt_and_thoughts", "sample"), ("feed_forward", "thoughts", "step")),
]


@pytest.mark.parametrize(("site", "scope", "mask"), slow_but(CASES, CASES[0], CASES[2]))
def test_dropout_equals_the_reference(backbone, site, scope, mask):
    prompts, seed = backbone.prompts(2), 21
    lengths, p = thought_length(backbone, 4), DROPOUT[backbone.kind]
    settings = {"dropout_p": p, "dropout_site": site, "dropout_scope": scope, "dropout_mask": mask}
    found = backbone.sample(
        {**settings, **lengths, "seed": seed, "max_new_tokens": 16}, questions=2, samples=[5, 7]
    )
    for (question, sample), one in found.items():
        prompt = prompts[question]
        expected = backbone.reference.answer(
            prompt,
            length=lengths.get("latent_length"),
            most=lengths.get("max_latent_length"),
            max_new_tokens=16,
            dropout=ReferenceDropout(p, site, scope, sample_key(seed, prompt, sample), mask),
        )
        assert len(one.thoughts) == len(expected.thoughts)
        assert list(one.answer_ids) == expected.sequence[len(prompt) + len(one.thoughts) + 1 :]
        torch.testing.assert_close(one.thoughts, expected.thoughts, rtol=0, atol=1e-4)


def test_colar_with_a_fixed_length_reads_all_thoughts_under_dropout(backbones):
    backbone = backbones["colar"]
    prompt = backbone.prompts(1)[0]
    settings = {"dropout_p": 0.1, "dropout_scope": "thoughts", "latent_length": 2}
    found = backbone.sample({**settings, "max_new_tokens": 16}, prompts=[prompt])[0, 0]
    expected = backbone.reference.answer(
        prompt,
        length=2,
        max_new_tokens=16,
        dropout=ReferenceDropout(0.1, "feed_forward", "thoughts", sample_key(0, prompt, 0)),
    )
    assert list(found.answer_ids) == expected.sequence[len(prompt) + 3 :]


@pytest.mark.parametrize("mask", slow_but(["step", "sample"], "sample"))
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
def test_dropout_masks_exactly_the_positions_it_should(backbones, kind, scope, first, last, mask):
    backbone = backbones[kind]
    prompt = backbone.prompts(1)[0]
    settings = {"dropout_p": 0.05, "dropout_scope": scope, "dropout_mask": mask, "seed": 1}
    with seeing_masks(backbone.model) as seen:
        found = backbone.sample(
            {**settings, "latent_length": 3, "max_new_tokens": 20}, prompts=[prompt]
        )[0, 0]
    assert len(found.answer_ids) > 1
    begin = 0 if first == "prompt" else len(prompt) + first
    # The last answer token is not read.
    end = len(prompt) + (2 + len(found.answer_ids) if last == "answer" else last)
    assert seen.masked() == set(range(begin, end + 1))


@pytest.mark.parametrize("mask", ["step", "sample"])
def test_a_trajectory_may_have_one_mask_for_all_positions(backbone, mask):
    prompt, count = backbone.prompts(1)[0], 4
    settings = {"dropout_p": 0.3, "dropout_site": "feed_forward", "dropout_mask": mask}
    settings |= {"num_return_sequences": count, "latent_length": 5, "max_new_tokens": 12}
    with seeing_masks(backbone.model) as seen:
        backbone.sample(settings, prompts=[prompt])
    masks = []
    for sample in range(count):
        factors = seen.of_row(sample, count)
        masked = factors[(factors != 1).flatten(1).any(dim=1)]
        assert len(masked) >= len(prompt) + 4  # the prompt and all thoughts but the last
        for factor in (0.0, 1 / 0.7):  # nothing else
            masked[(masked - factor).abs() < 1e-4] = factor
        assert set(masked.unique().tolist()) == {0.0, masked.max().item()}
        different = len(masked.flatten(1).unique(dim=0))
        assert different == (1 if mask == "sample" else len(masked))
        masks.append(masked[0])
    assert len(torch.stack(masks).flatten(1).unique(dim=0)) == count


@pytest.mark.parametrize("p", [0.03, 0.5])
@pytest.mark.parametrize("site", ["residual", "feed_forward"])
def test_every_branch_is_masked_and_rescaled(backbone, site, p):
    sampler, model = Dropout(dropout_p=p, dropout_site=site), backbone.model
    inputs = torch.randn(16, 30, 192, generator=torch.Generator().manual_seed(0))
    keys = sample_key(0, [1], 0) + torch.arange(16)
    positions = torch.arange(30).expand(16, 30)
    compared = 0
    for name, module in model.named_modules():
        if not name.endswith((*FEED_FORWARD, ".attn.c_proj", ".o_proj")):
            continue
        weight = module.weight.t() if hasattr(module, "nf") else module.weight
        x = inputs[..., : weight.shape[1]]
        with torch.no_grad():
            plain = module(x)
            with sampler.installed(model) as reading:
                assert torch.equal(module(x), plain)  # nothing is addressed yet
                reading.address(keys, positions)
                dropped = module(x)
                reading.address(keys, positions, torch.arange(16) % 2 == 0)
                half = module(x)
                reading.address(keys, positions, torch.zeros(16, dtype=torch.bool))
                assert torch.equal(module(x), plain)
            assert torch.equal(module(x), plain)
        if site == "feed_forward" and not name.endswith(FEED_FORWARD):
            assert torch.equal(dropped, plain)
            continue
        compared += 1
        kept = dropped != 0
        torch.testing.assert_close(dropped[kept], plain[kept] / (1 - p))
        share = round(p * 65536) / 65536
        assert stats.binomtest(int(kept.sum()), kept.numel(), 1 - share).pvalue > 1e-4
        assert torch.equal(half[::2], dropped[::2])
        assert torch.equal(half[1::2], plain[1::2])
    assert compared == (6 if site == "residual" else 3)


@pytest.mark.parametrize(
    ("modules", "message"),
    [
        ({"residual": (".nope",)}, "no module of COCONUTGPT2 ends with .nope, so nothing would be"),
        ({"residual": ()}, "ends with anything, so nothing would be dropped"),
    ],
)
def test_a_dropout_site_without_modules_is_refused(backbones, monkeypatch, modules, message):
    model, prompt = backbones["coconut"].model, torch.tensor([[3, 4]])
    monkeypatch.setattr(type(model), "dropout_modules", modules)
    with pytest.raises(ModelError, match=message):
        model.generate(prompt, dropout_p=0.2, dropout_site="residual")


def test_a_backbone_may_name_its_modules_by_one_text(backbones, monkeypatch):
    model, prompt = backbones["coconut"].model, torch.tensor([[3, 4]])
    settings = {"dropout_p": 0.2, "dropout_site": "residual", "num_return_sequences": 3}
    expected = model.generate(prompt, **settings)
    monkeypatch.setattr(type(model), "dropout_modules", {"residual": "c_proj"})
    assert torch.equal(model.generate(prompt, **settings), expected)


@pytest.mark.parametrize(
    ("kind", "given", "thoughts", "varies"),
    [
        ("coconut", {}, 0, True),  # the prompt is read under dropout
        ("coconut", {"dropout_p": 0.0}, 6, False),
        ("coconut", {"dropout_scope": "thoughts"}, 1, False),  # the last thought is not
        ("coconut", {"dropout_scope": "thoughts"}, 2, True),
        ("colar", {"dropout_scope": "thoughts"}, 0, True),  # the answer is
    ],
)
def test_it_varies_where_anything_is_read_under_it(kind, given, thoughts, varies):
    assert Dropout(**given).varies(BACKBONES[kind], thoughts) is varies


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"dropout_p": 1.0}, "dropout_p=1.0; allowed is a number at least 0 and below 1"),
        ({"dropout_site": "mlp"}, "dropout_site='mlp'; Allowed are: feed_forward, residual"),
        ({"dropout_mask": "steps"}, "dropout_mask='steps'; Did you mean step"),
        ({"dropout_scope": None}, "dropout_scope=None; Allowed are: prompt_and_thoughts, thoughts"),
    ],
)
def test_other_parameters_are_refused(given, message):
    with pytest.raises(ModelError, match=message):
        Dropout(**given)

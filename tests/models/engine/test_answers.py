"""How answers are sampled, and what they follow from."""

import pytest
import torch
from scipy import stats

from latent_tts.models.samplers import randomness
from tests.models.reference import sample_key
from tests.models.sampled import check_same, thought_length

QUICK_BACKBONES = ("colar",)


@pytest.mark.slow
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


@pytest.mark.slow
def test_few_rows_at_a_time_sample_the_same_answers(backbone):
    settings = {"latent_do_sample": False, "do_sample": True, "temperature": 3.0}
    settings |= {"num_return_sequences": 80, "max_new_tokens": 8, **thought_length(backbone, 4)}
    # More rows than whose random numbers are drawn at once, and fewer.
    expected = backbone.sample(settings, questions=1, max_rows=1000)
    check_same(backbone.sample(settings, questions=1, max_rows=9), expected)
    assert len({one.answer_ids for one in expected.values()}) > 40


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

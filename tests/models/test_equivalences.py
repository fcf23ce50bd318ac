"""What stands beside a question, and how it is computed, changes none of its samples."""

import hashlib
import json
from contextlib import contextmanager
from dataclasses import dataclass, replace

import pytest
import torch

from latent_tts.models import ModelError, Reading, Sampler
from latent_tts.models.samplers import Dropout, Noise
from tests.marks import slow_but
from tests.models.sampled import COMMON, SAMPLING, check_same, thought_length


def some(found, *, question=None, samples=None):
    """The trajectories of one question, as if it were alone, or of some samples."""
    return {
        (0 if question is not None else name[0], name[1]): one
        for name, one in found.items()
        if question in (None, name[0]) and (samples is None or name[1] in samples)
    }


@pytest.mark.parametrize(("questions", "count"), slow_but([(1, 1), (5, 4)], (5, 4)))
def test_a_question_alone_and_in_a_batch(backbone, sampling, questions, count):
    settings = {**sampling, "num_return_sequences": count}
    together = backbone.sample(settings, questions=questions)
    for question, ids in enumerate(backbone.prompts(questions)):
        check_same(some(together, question=question), backbone.sample(settings, prompts=[ids]))
    assert count == 1 or len({one.answer_ids for one in together.values()}) > questions


def test_the_order_of_questions(backbone, sampling):
    prompts, order = backbone.prompts(7), [3, 0, 6, 2, 5, 1, 4]
    plain = backbone.sample(sampling, prompts=prompts)
    shuffled = backbone.sample(sampling, prompts=[prompts[question] for question in order])
    check_same({(order[at], number): one for (at, number), one in shuffled.items()}, plain)


def test_a_question_that_is_asked_twice_has_the_same_samples(backbone, sampling):
    prompts = backbone.prompts(2)
    found = backbone.sample({**sampling, "num_return_sequences": 3}, prompts=[*prompts, *prompts])
    for question in (0, 1):
        check_same(some(found, question=question), some(found, question=question + 2))


def test_padding(backbone, sampling):
    settings = {**sampling, "num_return_sequences": 2}
    plain = backbone.generate(backbone.prompts(5), **settings)
    padded = backbone.generate(backbone.prompts(5), padding=13, **settings)
    assert padded.answer_ids() == plain.answer_ids()
    assert torch.equal(padded.truncated, plain.truncated)
    assert torch.equal(padded.latent_lengths, plain.latent_lengths)
    torch.testing.assert_close(padded.latent_thoughts, plain.latent_thoughts, rtol=0, atol=1e-4)


def test_the_first_of_more_samples_and_the_later_ones(backbone, sampling):
    eight = backbone.sample({**sampling, "num_return_sequences": 8}, questions=2)
    first = backbone.sample({**sampling, "num_return_sequences": 4}, questions=2)
    check_same(first, some(eight, samples=range(4)))
    for samples in (range(4, 8), [6, 2]):
        later = backbone.sample(sampling, questions=2, samples=samples)
        check_same(later, some(eight, samples=samples))


def test_another_seed_gives_other_samples(backbone, sampling):
    found = [backbone.sample({**sampling, "seed": seed}, questions=8) for seed in (4, 5)]
    first, other = ([one.answer_ids for one in own.values()] for own in found)
    assert first != other


@dataclass(frozen=True, kw_only=True)
class RepeatedNoise(Noise):
    """Noise whose samples read their prompts by themselves, for nothing."""

    prompt_varies = True


class ThoughtsAlone(Reading):
    """Dropout's masks, but none of the prompt."""

    def __init__(self, masks):
        self.masks, self.prompts = masks, []

    def address(self, keys, positions, active=None):
        if active is None:  # a prompt
            self.prompts.append(len(keys))
            active = torch.zeros_like(keys, dtype=torch.bool)
        self.masks.address(keys, positions, active)


@dataclass(frozen=True, kw_only=True)
class RepeatedDropout(Dropout):
    """Dropout over thoughts whose samples read their prompts by themselves, for nothing."""

    prompt_varies = True

    @contextmanager
    def installed(self, model):
        with super().installed(model) as masks:
            yield ThoughtsAlone(masks)


@pytest.mark.parametrize("name", ["noise", "dropout over thoughts"])
def test_a_shared_and_a_repeated_prefill(backbone, name):
    settings = {**COMMON, **thought_length(backbone, 5), **SAMPLING[name]}
    settings = backbone.model.settings(**settings, num_return_sequences=4)
    kind = RepeatedNoise if name == "noise" else RepeatedDropout
    repeated = replace(settings, sampler=kind(**vars(settings.sampler)))
    read = []
    hook = backbone.model.base_model.register_forward_hook(
        lambda module, args, output: read.append(len(output.last_hidden_state))
    )
    try:
        check_same(backbone.sample(repeated, max_rows=40), backbone.sample(settings, max_rows=40))
    finally:
        hook.remove()
    assert read[0] == 20
    assert 5 in read


def test_a_prompt_is_read_once_where_no_sample_reads_it_differently(backbone, sampling):
    rows = []
    hook = backbone.model.base_model.register_forward_hook(
        lambda module, args, output: rows.append(len(output.last_hidden_state))
    )
    try:
        backbone.generate(backbone.prompts(2), num_return_sequences=3, **sampling)
    finally:
        hook.remove()
    each = "dropout_p" in sampling and "dropout_scope" not in sampling
    assert rows[:2] == [6 if each else 2, 6]


@pytest.mark.slow
def test_two_processes(backbones, run_python):
    settings = {"num_return_sequences": 3, "dropout_p": 0.1, "max_new_tokens": 70, "seed": 9}
    expected = {}
    for kind, backbone in backbones.items():
        output = backbone.generate(backbone.prompts(4), **settings)
        thoughts = hashlib.sha256(output.latent_thoughts.numpy().tobytes()).hexdigest()
        expected[kind] = [output.sequences.tolist(), thoughts]
    questions = {
        kind: [str(backbone.folder), backbone.prompts(4)] for kind, backbone in backbones.items()
    }
    code = f"""
import hashlib, json, torch
from latent_tts.models import AutoLatentModel
torch.set_num_threads({torch.get_num_threads()})
results = {{}}
for kind, (folder, prompts) in json.loads({json.dumps(questions)!r}).items():
    model = AutoLatentModel.from_pretrained(folder)
    width, pad = max(map(len, prompts)), model.latent_tokens.pad
    output = model.generate(
        torch.tensor([[pad] * (width - len(ids)) + ids for ids in prompts]),
        torch.tensor([[0] * (width - len(ids)) + [1] * len(ids) for ids in prompts]),
        return_dict_in_generate=True,
        **{settings!r},
    )
    thoughts = hashlib.sha256(output.latent_thoughts.numpy().tobytes()).hexdigest()
    results[kind] = [output.sequences.tolist(), thoughts]
print(json.dumps(results))
"""
    assert json.loads(run_python("-c", code).stdout) == expected


def count_hooks(model):
    return sum(len(module._forward_hooks) for module in model.modules())


def test_no_hook_stays_after_generating(backbone, sampling):
    own = {name: value for name, value in sampling.items() if not name.startswith("dropout_")}
    plain = {**own, "latent_do_sample": False}
    before = backbone.sample(plain, questions=2)
    backbone.sample(sampling, questions=2)
    assert count_hooks(backbone.model) == 0
    check_same(backbone.sample(plain, questions=2), before)


def test_no_hook_stays_after_an_error(backbone, monkeypatch):
    def broken(hidden):
        assert count_hooks(backbone.model) == 3
        return hidden * float("nan")

    monkeypatch.setattr(backbone.model, "next_thought", broken)
    with pytest.raises(ModelError, match="2 of 2 rows have hidden states that are NaN or infinite"):
        backbone.generate(
            backbone.prompts(2), latent_length=2, dropout_p=0.1, dropout_site="feed_forward"
        )
    assert count_hooks(backbone.model) == 0


def test_the_plain_sampler_changes_nothing(backbone):
    sampler, hidden = Sampler(), torch.randn(2, 48)
    assert not sampler.prompt_varies
    assert not sampler.reading_varies
    assert not sampler.varies(backbone.model, 6)
    with sampler.installed(backbone.model) as reading, torch.no_grad():
        assert count_hooks(backbone.model) == 0
        reading.address(torch.zeros(2).long(), torch.zeros(2, 1).long())
        thought = sampler.think(backbone.model, hidden, None)
    assert torch.equal(thought, backbone.model.next_thought(hidden))

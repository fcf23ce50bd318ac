"""What stands beside a question, and how it is computed, changes none of its samples."""

import hashlib
import json

import pytest
import torch

from latent_tts.models import ModelError
from latent_tts.models.samplers import DropoutSampler, NoiseSampler, Sampler
from tests.models.sampled import COMMON, SAMPLING, thought_length


def trajectories(backbone, prompts, *, padding=0, **settings):
    """Per row: what was generated, and the thoughts."""
    output = backbone.generate(prompts, padding=padding, **settings)
    width = max(map(len, prompts)) + padding
    rows = []
    for row in range(len(output.sequences)):
        thoughts = int(output.latent_lengths[row])
        new = thoughts + 1 + int(output.answer_lengths[row])
        ids = tuple(output.sequences[row, width : width + new].tolist())
        rows.append((ids, output.latent_thoughts[row, :thoughts]))
    return rows


def check_equal(rows, expected):
    assert len(rows) == len(expected)
    for (ids, thoughts), (expected_ids, expected_thoughts) in zip(rows, expected, strict=True):
        assert ids == expected_ids
        torch.testing.assert_close(thoughts, expected_thoughts, rtol=0, atol=1e-4)


@pytest.mark.parametrize(("questions", "count"), [(1, 1), (7, 1), (8, 8)])
def test_a_question_alone_and_in_a_batch(backbone, sampling, questions, count):
    prompts = backbone.prompts(questions)
    settings = {**sampling, "num_return_sequences": count}
    together = trajectories(backbone, prompts, **settings)
    alone = [row for ids in prompts for row in trajectories(backbone, [ids], **settings)]
    check_equal(together, alone)
    assert count == 1 or len({ids for ids, _ in together}) > questions


def test_the_order_of_questions(backbone, sampling):
    prompts, order = backbone.prompts(7), [3, 0, 6, 2, 5, 1, 4]
    plain = trajectories(backbone, prompts, **sampling)
    shuffled = trajectories(backbone, [prompts[place] for place in order], **sampling)
    check_equal(shuffled, [plain[place] for place in order])


def test_a_question_that_is_asked_twice_has_the_same_samples(backbone, sampling):
    prompts = backbone.prompts(2)
    rows = trajectories(backbone, [*prompts, *prompts], num_return_sequences=3, **sampling)
    check_equal(rows[:6], rows[6:])


def test_padding(backbone, sampling):
    prompts = backbone.prompts(5)
    plain = trajectories(backbone, prompts, num_return_sequences=2, **sampling)
    padded = trajectories(backbone, prompts, padding=13, num_return_sequences=2, **sampling)
    check_equal(padded, plain)


def test_the_first_of_more_samples_and_the_later_ones(backbone, sampling):
    prompts = backbone.prompts(3)

    def run(count, offset=0):
        settings = {**sampling, "num_return_sequences": count, "sample_offset": offset}
        rows = trajectories(backbone, prompts, **settings)
        return [rows[start : start + count] for start in range(0, len(rows), count)]

    sixteen, first, last = run(16), run(8), run(8, offset=8)
    for all_rows, first_rows, last_rows in zip(sixteen, first, last, strict=True):
        check_equal(all_rows[:8], first_rows)
        check_equal(all_rows[8:], last_rows)


def test_another_seed_gives_other_samples(backbone, sampling):
    prompts = backbone.prompts(8)
    first = [ids for ids, _ in trajectories(backbone, prompts, **sampling)]
    other = [ids for ids, _ in trajectories(backbone, prompts, **{**sampling, "seed": 5})]
    assert first != other


@pytest.mark.parametrize("name", ["noise", "dropout over thoughts"])
def test_a_shared_and_a_repeated_prefill(backbone, monkeypatch, name):
    settings = {**COMMON, **thought_length(backbone, 5), **SAMPLING[name]}
    settings["num_return_sequences"] = 4
    prompts = backbone.prompts(5)
    shared = trajectories(backbone, prompts, **settings)
    kind = NoiseSampler if name == "noise" else DropoutSampler
    address, prompt_rows = kind.address, []

    def address_thoughts(self, keys, positions, active=None):
        if active is None:  # the prompt, which stays free of dropout
            prompt_rows.append(len(keys))
        else:
            address(self, keys, positions, active)

    monkeypatch.setattr(kind, "prompt_varies", property(lambda self: True))
    monkeypatch.setattr(kind, "address", address_thoughts)
    check_equal(trajectories(backbone, prompts, **settings), shared)
    assert prompt_rows == [20]


def test_a_prompt_is_read_once_where_no_sample_reads_it_differently(backbone, sampling):
    rows = []
    hook = backbone.model.base_model.register_forward_hook(
        lambda module, args, output: rows.append(len(output.last_hidden_state))
    )
    try:
        backbone.generate(backbone.prompts(2), num_return_sequences=3, **sampling)
    finally:
        hook.remove()
    whole = "dropout_p" in sampling and "dropout_scope" not in sampling
    assert rows[:2] == [6 if whole else 2, 6]


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
    prompts = backbone.prompts(2)
    before = trajectories(backbone, prompts, **{**sampling, "latent_do_sample": False})
    trajectories(backbone, prompts, **sampling)
    assert count_hooks(backbone.model) == 0
    check_equal(trajectories(backbone, prompts, **{**sampling, "latent_do_sample": False}), before)


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
    sampler = Sampler(None)
    thought = torch.ones(2, 48)
    assert not sampler.prompt_varies
    assert not sampler.varies(None, backbone.model)
    with sampler.installed(backbone.model):
        assert count_hooks(backbone.model) == 0
        sampler.address(torch.zeros(2).long(), torch.zeros(2, 1).long())
    assert sampler.perturb(thought, torch.zeros(2).long(), torch.zeros(2).long()) is thought

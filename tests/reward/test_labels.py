"""Labels are what an independent recomputation of every completion says."""

import pytest
import torch

from latent_tts.models import ModelError
from latent_tts.models.engine.prompts import pad_left
from latent_tts.models.engine.rollouts import branch
from latent_tts.models.samplers import randomness
from latent_tts.reward import RewardError
from latent_tts.reward.labels import label_questions
from latent_tts.tasks import Question
from tests.models.reference import GOLDEN, WORD, Dropout, Reference, sample_key, splitmix
from tests.reward.conftest import read_parity

QUESTIONS = [
    Question(id=str(place), text="What is " + "1 + " * place + "1?", gold=str(place % 2))
    for place in range(4)
]
SAMPLERS = {
    "noise": {"latent_do_sample_by": "noise", "noise_std": 0.6},
    "dropout": {"dropout_p": 0.2, "dropout_site": "residual"},
    "dropout over thoughts": {"dropout_p": 0.2, "dropout_scope": "thoughts"},
}
COUNT, ROLLOUTS, LENGTH, ROOM, SEED = 6, 4, 4, 9, 5
_SITE = 2862933555777941757


@pytest.fixture(params=["coconut", "codi", "colar"])
def kind(request):
    return request.param


def settings_of(model, sampler, **more):
    length = {"max_latent_length" if model.chooses_length else "latent_length": LENGTH}
    common = {"num_return_sequences": COUNT, "max_new_tokens": ROOM, "seed": SEED}
    return model.settings(**{**length, **common, **SAMPLERS[sampler], **more})


def branch_key(trajectory: int, step: int, number: int) -> int:
    """The documented address, in Python's integers."""
    state = splitmix((trajectory + (step + 1) * GOLDEN + (1 << 21) * _SITE) & WORD)
    return splitmix((state + (number + 1) * GOLDEN) & WORD)


def signed(key: int) -> int:
    return key - (1 << 64) if key >> 63 else key


class Rollout:
    """One completion at a time: the whole sequence is read again for every new input."""

    def __init__(self, reference, settings):
        self.reference, self.settings = reference, settings
        self.colar = reference.kind == "colar"

    @torch.no_grad()
    def answer(self, prompt, prefix, trajectory, key):
        """Token ids of the answer after the thoughts `prefix`, new randomness from `key`."""
        ref, settings = self.reference, self.settings
        inputs = ref.embed(prompt) + list(prefix)
        keys = [trajectory] * len(inputs)
        by_dropout = settings.latent_do_sample_by == "dropout"
        if prefix is not None and len(prefix):
            keys[-1] = key  # where it leaves, it reads with masks of its own
        masked = [by_dropout and settings.dropout_scope == "prompt_and_thoughts"] * len(prompt)
        masked += [by_dropout] * len(prefix)

        def hidden():
            if not by_dropout:
                return ref.hidden(inputs)
            p, site, scope = settings.dropout_p, settings.dropout_site, settings.dropout_scope
            own = Dropout(p, site, scope, torch.tensor([signed(k) for k in keys]))
            return ref.hidden(inputs, masked, own)

        def feed(embedding, drop):
            inputs.append(embedding)
            keys.append(key)
            masked.append(by_dropout and drop)

        thoughts = len(prefix)
        while thoughts < LENGTH:
            state = hidden()
            if self.colar and int(ref.logits(state).argmax()) == ref.end:
                break
            thought = ref.next_thought(state)
            if not by_dropout:
                noise = randomness.normal(
                    torch.tensor(signed(key)), torch.tensor(len(inputs)), site=0, size=48
                )
                thought = thought + settings.noise_std * noise.float()
            thoughts += 1
            feed(thought, self.colar or thoughts < LENGTH)
        feed(ref.embed([ref.end])[0], self.colar)
        ids = []
        while len(ids) < ROOM - thoughts - 1:
            ids.append(int(ref.logits(hidden()).argmax()))
            feed(ref.embed(ids[-1:])[0], self.colar)
            if ids[-1] == ref.eos:
                return ids[:-1]
        return ids


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_labels_are_shares_of_completions_made_one_by_one(backbones, checkpoints, kind, sampler):
    model, tokenizer = backbones[kind]
    settings = settings_of(model, sampler)
    entries = label_questions(model, tokenizer, QUESTIONS, settings, rollouts=ROLLOUTS)
    rollout = Rollout(Reference(kind, checkpoints[kind]), settings)
    seen = []
    assert any(entry.right.any() and not entry.right.all() for entry in entries)
    for question, entry in zip(QUESTIONS, entries, strict=True):
        prompt = list(entry.prompt)
        mixed = entry.right.any() and not entry.right.all()
        assert prompt == model.encode_prompt(tokenizer, question.text)
        for sample in range(COUNT):
            key = int(sample_key(SEED, prompt, sample)) & WORD
            length = int(entry.lengths[sample])
            thoughts = entry.thoughts[sample].float()
            own = tokenizer.decode(rollout.answer(prompt, [], key, key))
            assert entry.answers[sample] == read_parity(own)
            right = read_parity(own) == question.gold
            assert bool(entry.right[sample]) == right
            expected = torch.zeros(entry.labels.shape[1])
            expected[:length] = float(right)
            for step in range(1, length) if mixed else ():
                texts = [
                    tokenizer.decode(
                        rollout.answer(prompt, thoughts[:step], key, branch_key(key, step, number))
                    )
                    for number in range(ROLLOUTS)
                ]
                good = [read_parity(text) == question.gold for text in texts]
                expected[step - 1] = sum(good) / ROLLOUTS
            assert entry.labels[sample].tolist() == expected.tolist()
            assert not entry.thoughts[sample, length:].any()
            seen += expected.tolist()
    assert {0.0, 1.0} < set(seen)


def check_equal(found, expected):
    for entry, other in zip(found, expected, strict=True):
        assert (entry.id, entry.gold, entry.prompt) == (other.id, other.gold, other.prompt)
        assert entry.answers == other.answers
        for name in ("lengths", "labels", "right"):
            assert torch.equal(getattr(entry, name), getattr(other, name)), name
        torch.testing.assert_close(entry.thoughts, other.thoughts, rtol=0, atol=5e-3)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_labels_depend_on_no_batch(backbones, kind, sampler):
    model, tokenizer = backbones[kind]
    settings = settings_of(model, sampler)
    together = label_questions(model, tokenizer, QUESTIONS, settings, rollouts=ROLLOUTS)
    alone = [
        label_questions(model, tokenizer, [question], settings, rollouts=ROLLOUTS)[0]
        for question in QUESTIONS
    ]
    check_equal(together, alone)


def branches(model, tokenizer, settings, count):
    prompts = [model.encode_prompt(tokenizer, question.text) for question in QUESTIONS]
    ids, mask = pad_left(prompts, model.latent_tokens.pad)
    output = model.generate(ids, mask, generation_config=settings, return_dict_in_generate=True)
    begun = branch(
        model,
        input_ids=ids,
        attention_mask=mask,
        trajectories=output,
        settings=settings,
        count=count,
    )
    return output, list(begun)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_first_of_more_completions(backbones, kind, sampler):
    model, tokenizer = backbones[kind]
    settings = settings_of(model, sampler)
    _, few = branches(model, tokenizer, settings, 2)
    _, many = branches(model, tokenizer, settings, 5)
    for some, more in zip(few, many, strict=True):
        expected = [ids for k, ids in enumerate(more.output.answer_ids()) if k % 5 < 2]
        assert some.output.answer_ids() == expected


def test_completions_share_their_trajectorys_thoughts_and_differ_after(backbones, kind):
    model, tokenizer = backbones[kind]
    output, begun = branches(model, tokenizer, settings_of(model, "noise"), 3)
    assert [item.step for item in begun] == list(range(1, LENGTH))
    for item in begun:
        assert torch.equal(item.rows, (output.latent_lengths > item.step).nonzero().squeeze(1))
        own = output.latent_thoughts[item.rows, : item.step]
        found = item.output.latent_thoughts.unflatten(0, (-1, 3))
        assert torch.equal(found[:, 0, : item.step], own)
        assert torch.equal(found[:, 1, : item.step], own)
        later = found[:, :, item.step]
        goes_on = (item.output.latent_lengths.unflatten(0, (-1, 3)) > item.step).all(dim=1)
        assert bool((later[goes_on, 0] != later[goes_on, 1]).any(dim=1).all())


def test_a_prefix_is_read_once_for_all_its_completions(backbones):
    model, tokenizer = backbones["coconut"]
    settings = settings_of(model, "noise")
    read = []
    hook = model.base_model.register_forward_hook(
        lambda module, args, output: read.append(tuple(output.last_hidden_state.shape[:2]))
    )
    try:
        label_questions(model, tokenizer, QUESTIONS, settings, rollouts=ROLLOUTS)
    finally:
        hook.remove()
    rows = len(QUESTIONS) * COUNT
    longest = read[0][1]
    assert read.count((len(QUESTIONS), longest)) == 2  # the trajectories' prompts, and again
    assert read.count((rows, LENGTH - 1)) == 1  # all thoughts of the prefixes at once
    assert all(width == 1 for _, width in read if width not in (longest, LENGTH - 1))


def test_without_rollouts_every_step_has_its_trajectorys_label(backbones, kind):
    model, tokenizer = backbones[kind]
    settings = settings_of(model, "noise")
    for entry in label_questions(model, tokenizer, QUESTIONS, settings, rollouts=0):
        steps = torch.arange(entry.labels.shape[1])
        expected = entry.right[:, None] * (steps < entry.lengths[:, None])
        assert torch.equal(entry.labels, expected.float())


@pytest.mark.filterwarnings("ignore:All 6 samples")
@pytest.mark.parametrize("length", [0, 1])
def test_trajectories_without_intermediate_thoughts(backbones, length):
    model, tokenizer = backbones["coconut"]
    settings = settings_of(model, "noise", latent_length=length)
    for entry in label_questions(model, tokenizer, QUESTIONS, settings, rollouts=2):
        assert entry.labels.shape == (COUNT, length)
        assert torch.equal(entry.labels.any(dim=1), entry.right & (length > 0))


def test_no_hook_stays_between_steps(backbones):
    model, tokenizer = backbones["coconut"]
    settings = settings_of(model, "dropout")
    prompts = [model.encode_prompt(tokenizer, question.text) for question in QUESTIONS]
    ids, mask = pad_left(prompts, model.latent_tokens.pad)
    output = model.generate(ids, mask, generation_config=settings, return_dict_in_generate=True)
    begun = branch(
        model,
        input_ids=ids,
        attention_mask=mask,
        trajectories=output,
        settings=settings,
        count=1,
    )
    next(begun)
    assert not any(module._forward_hooks for module in model.modules())


def test_thoughts_beyond_half_precision_are_refused(backbones):
    model, tokenizer = backbones["coconut"]
    settings = settings_of(model, "noise", noise_std=1e6)
    with pytest.raises(RewardError, match=r"beyond float16's 65504.*lower noise_std"):
        label_questions(model, tokenizer, QUESTIONS, settings, rollouts=0)


def test_a_question_that_does_not_fit(backbones):
    model, tokenizer = backbones["coconut"]
    long = [Question(id="1", text="x" * 300, gold="1")]
    with pytest.raises(ModelError, match="positions"):
        label_questions(model, tokenizer, long, settings_of(model, "noise"), rollouts=1)

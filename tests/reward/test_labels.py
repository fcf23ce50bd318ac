"""Labels are what an independent recomputation of every completion says."""

import pytest
import torch

from latent_tts.models import ModelError, sample
from latent_tts.models.engine.rollouts import complete
from latent_tts.models.samplers import randomness
from latent_tts.reward import RewardError
from latent_tts.reward.labels import label_questions
from latent_tts.tasks import Question
from tests.marks import slow_but
from tests.models.reference import GOLDEN, WORD, Dropout, Reference, sample_key, splitmix
from tests.reward.conftest import read_parity

QUESTIONS = [
    Question(id=str(index), text="What is " + "1 + " * index + "1?", gold=str(index % 2))
    for index in range(4)
]
SAMPLERS = {
    "noise": {"latent_do_sample_by": "noise", "noise_std": 0.6},
    "dropout": {"dropout_p": 0.2, "dropout_site": "residual"},
    "dropout over thoughts": {"dropout_p": 0.2, "dropout_scope": "thoughts"},
}
PAIRS = [
    *(("coconut", "dropout"), ("codi", "dropout over thoughts"), ("colar", "noise")),
]
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
        sampler = settings.sampler
        by_dropout = sampler.name == "dropout"
        if prefix is not None and len(prefix):
            keys[-1] = key  # where it leaves, it reads with masks of its own
        masked = [by_dropout and sampler.dropout_scope == "prompt_and_thoughts"] * len(prompt)
        masked += [by_dropout] * len(prefix)

        def hidden():
            if not by_dropout:
                return ref.hidden(inputs)
            p, site, scope = sampler.dropout_p, sampler.dropout_site, sampler.dropout_scope
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
                thought = thought + sampler.noise_std * noise.float()
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


@pytest.mark.slow
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
        for number in range(COUNT):
            key = int(sample_key(SEED, prompt, number)) & WORD
            length = int(entry.lengths[number])
            thoughts = entry.thoughts[number].float()
            own = tokenizer.decode(rollout.answer(prompt, [], key, key))
            assert entry.answers[number] == read_parity(own)
            right = read_parity(own) == question.gold
            assert bool(entry.right[number]) == right
            expected = torch.zeros(entry.labels.shape[1])
            expected[:length] = float(right)
            for step in range(1, length) if mixed else ():
                texts = [
                    tokenizer.decode(
                        rollout.answer(prompt, thoughts[:step], key, branch_key(key, step, one))
                    )
                    for one in range(ROLLOUTS)
                ]
                good = [read_parity(text) == question.gold for text in texts]
                expected[step - 1] = sum(good) / ROLLOUTS
            assert entry.labels[number].tolist() == expected.tolist()
            assert not entry.thoughts[number, length:].any()
            seen += expected.tolist()
    assert {0.0, 1.0} < set(seen)


def check_equal(found, expected):
    for entry, other in zip(found, expected, strict=True):
        assert (entry.id, entry.gold, entry.prompt) == (other.id, other.gold, other.prompt)
        assert entry.answers == other.answers
        for name in ("lengths", "labels", "right"):
            assert torch.equal(getattr(entry, name), getattr(other, name)), name
        torch.testing.assert_close(entry.thoughts, other.thoughts, rtol=0, atol=5e-3)


@pytest.mark.parametrize(("kind", "sampler"), slow_but(PAIRS, PAIRS[-1]))
def test_labels_depend_on_no_batch(backbones, kind, sampler):
    model, tokenizer = backbones[kind]
    settings = settings_of(model, sampler)
    together = label_questions(model, tokenizer, QUESTIONS, settings, rollouts=ROLLOUTS)
    alone = [
        label_questions(model, tokenizer, [question], settings, rollouts=ROLLOUTS)[0]
        for question in QUESTIONS[:2]
    ]
    check_equal(together[:2], alone)


def completions(model, tokenizer, settings, count):
    """The trajectories, and each completion by (trajectory, step, number)."""
    prompts = [model.encode_prompt(tokenizer, question.text) for question in QUESTIONS]
    found = sample(model, prompts, settings)
    trajectories = sorted(found, key=lambda one: (one.question, one.sample))
    begun = complete(model, prompts, trajectories, settings, count=count)
    return trajectories, {(leave.trajectory, leave.step, one.sample): one for leave, one in begun}


@pytest.mark.parametrize(("kind", "sampler"), slow_but(PAIRS, PAIRS[-1]))
def test_the_first_of_more_completions(backbones, kind, sampler):
    model, tokenizer = backbones[kind]
    settings = settings_of(model, sampler)
    _, few = completions(model, tokenizer, settings, 1)
    _, many = completions(model, tokenizer, settings, 3)
    assert len(many) == len(few) * 3 > 0
    for name, some in few.items():
        assert some.answer_ids == many[name].answer_ids


def test_completions_share_their_trajectorys_thoughts_and_differ_after(backbones, kind):
    model, tokenizer = backbones[kind]
    trajectories, found = completions(model, tokenizer, settings_of(model, "noise"), 3)
    expected = {
        (number, step)
        for number, one in enumerate(trajectories)
        for step in range(1, len(one.thoughts))
    }
    assert {name[:2] for name in found} == expected
    assert {step for _, step in expected} == set(range(1, LENGTH))
    for number, step in expected:
        first, second, third = (found[number, step, one].thoughts for one in range(3))
        for own in (first, second, third):
            assert torch.equal(own[:step], trajectories[number].thoughts[:step])
        if min(len(first), len(second)) > step:
            assert bool((first[step] != second[step]).any())


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
    longest = read[0][1]
    again = [width for rows, width in read[1:] if width > LENGTH - 1]
    mixed = read.count((COUNT, LENGTH - 1))  # all thoughts of a question's prefixes at once
    assert 0 < mixed == len(again) <= len(QUESTIONS)  # and its prompt, once more
    assert all(rows == 1 for rows, width in read[1:] if width > LENGTH - 1)
    assert all(width == 1 for _, width in read if width < LENGTH - 1)
    assert longest == max(width for _, width in read)


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
    hooks = [len(module._forward_hooks) for module in model.modules()]
    trajectories = list(sample(model, prompts, settings))
    begun = complete(model, prompts, trajectories, settings, count=1)
    next(begun)
    assert [len(module._forward_hooks) for module in model.modules()] == hooks


def test_thoughts_beyond_half_precision_are_refused(backbones):
    model, tokenizer = backbones["coconut"]
    settings = settings_of(model, "noise", noise_std=1e6)
    with pytest.raises(RewardError, match=r"beyond float16's 65504.*lower it"):
        label_questions(model, tokenizer, QUESTIONS, settings, rollouts=0)


def test_a_question_that_does_not_fit(backbones):
    model, tokenizer = backbones["coconut"]
    long = [Question(id="1", text="x" * 300, gold="1")]
    with pytest.raises(ModelError, match="positions"):
        label_questions(model, tokenizer, long, settings_of(model, "noise"), rollouts=1)

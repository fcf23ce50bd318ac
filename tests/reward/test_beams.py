"""Beam search against a slow search by hand, one sample, and rewards whose optimum is known."""

import dataclasses
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import product

import pytest
import torch

from latent_tts.models import LatentGenerateOutput, ModelError
from latent_tts.models.engine.prompts import pad_left
from latent_tts.models.samplers import randomness
from latent_tts.reward import Beam, LatentRewardModel, RewardError, beam_search
from tests.marks import slow_but
from tests.models.reference import GOLDEN, WORD, Reference, sample_key, splitmix
from tests.reward.checkpoints import random_reward_model

# The tiny CoLaR ends its thinking at once on the last, and after one to three thoughts on others.
TEXTS = ["What is 4 + 3?", "How much is 7?", "What is 4 + 6?", "What is 1 + 1 + 1 + 1 + 1?"]
SAMPLERS = {
    "noise": {"latent_do_sample_by": "noise", "noise_std": 0.6},
    "dropout": {"dropout_p": 0.2, "dropout_site": "residual"},
    "dropout over thoughts": {"dropout_p": 0.2, "dropout_scope": "thoughts"},
}
PAIRS = [
    *(("coconut", "dropout"), ("codi", "dropout over thoughts"), ("colar", "noise")),
]
LENGTH, ROOM, SEED = 3, 9, 5
_SITE = 2862933555777941757


@pytest.fixture(params=slow_but(["coconut", "codi", "colar"], "coconut"))
def kind(request):
    return request.param


@pytest.fixture
def pair(backbones, kind):
    """A backbone, its tokenizer and a reward model with a random head that tells thoughts apart."""
    model, tokenizer = backbones[kind]
    return model, tokenizer, random_reward_model(model)


def settings_of(model, sampler, beams, candidates, **more):
    length = {"max_latent_length" if model.chooses_length else "latent_length": LENGTH}
    common = {"num_return_sequences": beams * candidates, "max_new_tokens": ROOM, "seed": SEED}
    sizes = {"num_beams": beams, "num_beam_candidates": candidates}
    return model.settings(**{**length, **common, **sizes, **SAMPLERS[sampler], **more})


def prompts_of(model, tokenizer):
    prompts = [model.encode_prompt(tokenizer, text) for text in TEXTS]
    return prompts, pad_left(prompts, model.latent_tokens.pad)


@dataclasses.dataclass
class Found:
    """All beams of a search as tensors, question by question and the best first."""

    questions: torch.Tensor
    output: LatentGenerateOutput
    step_rewards: torch.Tensor

    @classmethod
    def of(cls, model, prompts, found: Sequence[Sequence[Beam]]):
        flat = [beam for own in found for beam in own]
        for question, own in enumerate(found):
            addresses = [(beam.trajectory.question, beam.trajectory.sample) for beam in own]
            assert addresses == [(question, rank) for rank in range(len(own))]
        questions = torch.tensor([beam.trajectory.question for beam in flat])
        ids, _ = pad_left(prompts, model.latent_tokens.pad)
        output = LatentGenerateOutput.of([beam.trajectory for beam in flat], ids[questions], model)
        rewards = torch.zeros(output.latent_thoughts.shape[:2])
        for row, beam in zip(rewards, flat, strict=True):
            assert len(beam.step_rewards) == len(beam.trajectory.thoughts)
            row[: len(beam.step_rewards)] = torch.tensor(beam.step_rewards)
        return cls(questions, output, rewards)


def search(pair, settings, prompts=None):
    model, tokenizer, reward_model = pair
    prompts = prompts or prompts_of(model, tokenizer)[0]
    return Found.of(model, prompts, beam_search(model, reward_model, prompts, settings))


def candidate_key(key: int, step: int, number: int) -> int:
    """The documented address, in Python's integers: candidate 0 keeps its beam's."""
    if number == 0:
        return key
    state = splitmix((key + (step + 1) * GOLDEN + (1 << 21) * _SITE) & WORD)
    return splitmix((state + (number + 1) * GOLDEN) & WORD)


def signed(key: int) -> torch.Tensor:
    return torch.tensor(key - (1 << 64) if key >> 63 else key)


class ByHand:
    """Additive noise, one beam at a time, every prefix read and scored from its beginning."""

    def __init__(self, reference, reward_model, settings):
        self.ref, self.reward_model, self.settings = reference, reward_model, settings

    def score(self, prompt, thoughts):
        stacked = torch.stack(thoughts)[None, None]
        return float(self.reward_model.score(torch.tensor([prompt]), latent_thoughts=stacked).sum())

    def propose(self, prompt, beam, step, number):
        """The beam (key, thoughts, has ended) that a candidate is."""
        key, thoughts, _ = beam
        key = candidate_key(key, step, number)
        inputs = self.ref.embed(prompt) + thoughts
        hidden = self.ref.hidden(inputs)
        if self.ref.kind == "colar" and int(self.ref.logits(hidden).argmax()) == self.ref.end:
            return key, thoughts, True
        noise = randomness.normal(signed(key), torch.tensor(len(inputs)), site=0, size=48)
        thought = self.ref.next_thought(hidden) + self.settings.sampler.noise_std * noise.float()
        return key, [*thoughts, thought], False

    def __call__(self, prompt):
        """The last beams' thoughts and scores, best first."""
        count, candidates = self.settings.beams
        beams = [(int(sample_key(SEED, prompt, index)) & WORD, [], False) for index in range(count)]
        for step in range(LENGTH):
            proposals = [beam for beam in beams if beam[2]]
            thinking = [beam for beam in beams if not beam[2]]
            budget = candidates * (count - len(proposals))  # shared by those that are left
            for index, beam in enumerate(thinking):
                share = budget // len(thinking) + (index < budget % len(thinking))
                proposals += [self.propose(prompt, beam, step, number) for number in range(share)]
            unique = {
                tuple(tuple(t.tolist()) for t in thoughts): (key, thoughts, ended)
                for key, thoughts, ended in reversed(proposals)
            }
            scored = [(self.score(prompt, b[1]) if b[1] else 0.0, b) for b in unique.values()]
            scored.sort(key=lambda entry: -entry[0])
            beams = [beam for _, beam in scored[:count]]
        return [(beam[1], self.score(prompt, beam[1]) if beam[1] else 0.0) for beam in beams]


@torch.no_grad()
def test_the_beams_are_those_of_a_search_by_hand(pair, checkpoints, kind):
    model, tokenizer, reward_model = pair
    settings = settings_of(model, "noise", 2, 3)
    found = search(pair, settings)
    prompts, _ = prompts_of(model, tokenizer)
    by_hand = ByHand(Reference(kind, checkpoints[kind]), reward_model, settings)
    for index in (0, 3):
        prompt = prompts[index]
        rows = (found.questions == index).nonzero().squeeze(1)
        expected = by_hand(prompt)
        assert len(rows) == len(expected)
        for row, (thoughts, score) in zip(rows, expected, strict=True):
            length = int(found.output.latent_lengths[row])
            assert length == len(thoughts)
            own = found.output.latent_thoughts[row, :length]
            for thought, expected_thought in zip(own, thoughts, strict=True):
                torch.testing.assert_close(thought, expected_thought, rtol=0, atol=1e-4)
            assert float(found.step_rewards[row].sum()) == pytest.approx(score, abs=1e-3)


@pytest.mark.parametrize(("kind", "sampler"), slow_but(PAIRS, PAIRS[0], PAIRS[2]))
def test_one_beam_with_one_candidate_is_one_sample(pair, sampler):
    model, tokenizer, reward_model = pair
    _, (input_ids, mask) = prompts_of(model, tokenizer)
    found = search(pair, settings_of(model, sampler, 1, 1))
    sample = model.generate(
        input_ids,
        mask,
        settings_of(model, sampler, 1, 1).without_beams(),
        return_dict_in_generate=True,
    )
    for field in dataclasses.fields(sample):
        own, expected = (getattr(output, field.name) for output in (found.output, sample))
        # Rows that end early are set aside, and a batch of another size has other last bits.
        torch.testing.assert_close(own, expected, rtol=0, atol=1e-5)
    scores = reward_model.score(
        input_ids,
        mask,
        latent_thoughts=sample.latent_thoughts[:, None],
        lengths=sample.latent_lengths[:, None],
    )
    torch.testing.assert_close(found.step_rewards, scores[:, 0].detach(), rtol=0, atol=1e-4)


@pytest.mark.parametrize(("kind", "sampler"), slow_but(PAIRS, PAIRS[0], PAIRS[2]))
def test_beams_are_whole_samples_in_order_of_their_score(pair, sampler):
    model, tokenizer, reward_model = pair
    _, (input_ids, mask) = prompts_of(model, tokenizer)
    found = search(pair, settings_of(model, sampler, 3, 2))
    output = found.output
    assert found.questions.tolist() == sorted(found.questions.tolist())
    for index in range(len(TEXTS)):
        own = found.questions == index
        thoughts, lengths = output.latent_thoughts[own], output.latent_lengths[own]
        again = reward_model.score(
            input_ids[[index]], mask[[index]], latent_thoughts=thoughts[None], lengths=lengths[None]
        )
        torch.testing.assert_close(found.step_rewards[own], again[0].detach(), rtol=0, atol=1e-4)
        scores = found.step_rewards[own].sum(dim=1)
        assert bool((scores[:-1] >= scores[1:]).all())
        assert len({tuple(map(tuple, row.tolist())) for row in thoughts}) == len(thoughts)


def test_a_search_depends_on_no_batch(pair):
    model, tokenizer, _ = pair
    settings = settings_of(model, "dropout", 2, 2)
    prompts, _ = prompts_of(model, tokenizer)
    together = search(pair, settings)
    for index, prompt in enumerate(prompts):
        alone = search(pair, settings, [prompt])
        own = together.questions == index
        lengths = together.output.latent_lengths[own]
        assert torch.equal(alone.output.latent_lengths, lengths)
        torch.testing.assert_close(
            alone.output.latent_thoughts,
            together.output.latent_thoughts[own, : int(lengths.max())],
            rtol=0,
            atol=1e-4,
        )
        answers = together.output.answer_ids()
        assert alone.output.answer_ids() == [answers[row] for row in own.nonzero().squeeze(1)]


@contextmanager
def rewarding(reward_model, reward):
    """Let the rewards of the thoughts f[R, D] that a pass reads be what `reward` says."""
    read = []
    hooks = [
        reward_model.base_model.register_forward_pre_hook(
            lambda module, args, given: read.append(given.get("inputs_embeds")), with_kwargs=True
        ),
        reward_model.classifier.register_forward_hook(
            lambda module, args, output: reward(read[-1][:, -1], output[:, -1, 0])[:, None, None]
        ),
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


@pytest.mark.parametrize(("beams", "candidates", "best"), [(1, 4, 1.0), (2, 2, 1.9)])
@torch.no_grad()
def test_a_known_optimum_is_found_where_greedy_search_misses_it(
    backbones, checkpoints, beams, candidates, best
):
    model, tokenizer = backbones["coconut"]
    settings = settings_of(model, "noise", beams, candidates, latent_length=2)
    prompt = model.encode_prompt(tokenizer, TEXTS[0])
    by_hand = ByHand(Reference("coconut", checkpoints["coconut"]), None, settings)
    starts = [(int(sample_key(SEED, prompt, index)) & WORD, [], False) for index in range(beams)]
    first = {
        index: by_hand.propose(prompt, beam, 0, number)
        for index, (beam, number) in enumerate(product(starts, range(candidates)))
    }
    second = {
        (index, number): by_hand.propose(prompt, beam, 1, number)
        for index, beam in first.items()
        for number in range(candidates)
    }
    # Of all paths of the tree, the best is the last candidate after the second best first thought.
    rewards = {(3,): 1.0, (2,): 0.9, (2, (2, candidates - 1)): 1.0}
    optimum = max(rewards.get((a,), 0) + rewards.get((a, (a, b)), 0) for a, b in second)
    assert optimum == 1.9
    thoughts = {(index,): beam[1][-1] for index, beam in first.items()}
    thoughts |= {(name[0], name): beam[1][-1] for name, beam in second.items()}

    def garden(read, _):
        """The best first step leads nowhere, the second best to the optimum."""
        nearest = [
            min(thoughts, key=lambda name: float((thoughts[name] - one).norm())) for one in read
        ]
        return torch.tensor([rewards.get(name, 0.0) for name in nearest])

    pair = model, tokenizer, LatentRewardModel.from_backbone(model)
    with rewarding(pair[2], garden):
        found = search(pair, settings, [prompt])
    assert float(found.step_rewards[0].sum()) == pytest.approx(best)


@pytest.mark.filterwarnings("ignore:All 4 samples")
def test_equal_proposals_do_not_fill_the_beam(pair, kind):
    model, *_ = pair
    found = search(pair, settings_of(model, "noise", 2, 2, noise_std=0.0))
    assert found.questions.tolist() == [0, 1, 2, 3]  # nothing differs: one beam a question
    found = search(pair, settings_of(model, "noise", 2, 2))
    # There is one way not to think at all.
    assert found.questions.tolist() == [0, 0, 1, 1, 2, 2, 3, 3][: 7 if kind == "colar" else 8]


@pytest.mark.parametrize("beams", [4, 8])
def test_beams_that_are_equal_at_first_spend_the_budget_all_the_same(backbones, beams):
    # Dropout over thoughts leaves the first thought as it is: all proposals are one.
    model, tokenizer = backbones["coconut"]
    torch.manual_seed(1)
    guide = LatentRewardModel.from_backbone(model)
    settings = settings_of(model, "dropout over thoughts", beams, 1)
    found = search((model, tokenizer, guide), settings)
    assert found.questions.bincount().tolist() == [beams] * len(TEXTS)


def test_a_score_that_is_nan_never_wins(pair):
    def every_other(read, rewards):
        return rewards.masked_fill(torch.arange(len(rewards)) % 2 == 1, float("nan"))

    with rewarding(pair[2], every_other):
        found = search(pair, settings_of(pair[0], "noise", 2, 2))
    scores = found.step_rewards.sum(dim=1)
    firsts = [found.questions.tolist().index(index) for index in range(len(TEXTS))]
    assert bool(scores[firsts].isfinite().all())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"num_beams": 3, "num_beam_candidates": 2, "num_return_sequences": 8}, "does not fit num"),
        (
            {"num_beams": 3, "num_return_sequences": 8},
            "num_beams=3 does not divide the N = 8 samples",
        ),
        ({"num_beam_candidates": 2, "num_return_sequences": 2}, "without num_beams; give both"),
        ({"num_beams": 0, "num_beam_candidates": 2}, "num_beams=0; allowed is a whole number"),
    ],
)
def test_sizes_that_cannot_be(backbones, given, message):
    with pytest.raises(ModelError, match=message):
        backbones["coconut"][0].settings(**given)


def test_candidates_follow_from_the_budget(backbones):
    settings = backbones["coconut"][0].settings
    assert settings(num_beams=4, num_return_sequences=8).beams == (4, 2)
    assert settings(num_beams=1, num_return_sequences=8).beams is None
    assert settings(num_beams=3, num_beam_candidates=5).num_return_sequences == 15
    assert settings(num_beams=1, num_beam_candidates=8, num_return_sequences=8).beams == (1, 8)


def test_a_search_without_beams_or_guide(pair):
    model, tokenizer, reward_model = pair
    prompts, (input_ids, mask) = prompts_of(model, tokenizer)
    plain = settings_of(model, "noise", 2, 2)
    with pytest.raises(RewardError, match="num_beams=None asks for no beam search"):
        beam_search(model, reward_model, prompts, plain.without_beams())
    with pytest.raises(ModelError, match=r"num_beams=2: .* guided by a reward model"):
        model.generate(input_ids, mask, plain)


def test_a_reward_model_of_another_backbone(backbones, reward_models):
    model, tokenizer = backbones["coconut"]
    other = LatentRewardModel.from_pretrained(reward_models["gpt2"])
    with pytest.raises(RewardError, match=r"token ids below 300, but .* do not belong together"):
        search((model, tokenizer, other), settings_of(model, "noise", 2, 2))


@pytest.mark.slow
def test_threads_search_one_model(backbones):
    """Under dropout, whose hooks of one search would drop in the other's passes."""
    model, tokenizer = backbones["coconut"]
    pair = model, tokenizer, LatentRewardModel.from_backbone(model)
    settings = settings_of(model, "dropout", 2, 2)
    expected = search(pair, settings).output.sequences
    with ThreadPoolExecutor(2) as threads:
        runs = [threads.submit(search, pair, settings) for _ in range(4)]
        assert all(torch.equal(run.result().output.sequences, expected) for run in runs)

"""Soft thinking: filters, mixtures, stops and cold stops are those of a slow computation."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from latent_tts.models import AutoLatentModel, ModelError
from latent_tts.models.backbones.soft_thinking import SoftMixing
from latent_tts.models.samplers import randomness
from tests.marks import slow_but
from tests.models.mixtures.checkpoints import write_checkpoint
from tests.models.mixtures.test_latent_sft import INSTRUCTION, check_slow
from tests.models.reference import sample_key

MOST, NEW, SEED = 8, 18, 7
LENGTHS = {"max_latent_length": MOST, "max_new_tokens": NEW, "seed": SEED}
PLAIN = {**LENGTHS, "latent_do_sample": False}
FILTERS = {
    "defaults": {},
    "all filters": {"temperature": 1.3, "top_k": 12, "top_p": 0.8, "min_p": 0.1, "size": 5},
    "no filter": {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "size": 4},
}
USUAL = {"temperature": 0.6, "top_k": 30, "top_p": 0.95, "min_p": 0.0, "size": 15}


def named(filters):
    return {f"mixture_{name}": value for name, value in filters.items()}


@pytest.mark.slow
@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("kind", ["llama", "deepseek"])
def test_thoughts_and_answers_are_those_of_plain_transformers(mixed, kind, name):
    one = mixed(kind, "soft_thinking")
    found = one.sample({**PLAIN, **named(FILTERS[name])}, questions=4)
    for (number, _), trajectory in found.items():
        prompt = one.prompts()[number]
        slow = one.slow.soft_thinking(prompt, **USUAL | FILTERS[name], most=MOST, new=NEW)
        check_slow(trajectory, slow)
        (alone,) = one.sample({**PLAIN, **named(FILTERS[name])}, prompts=[prompt]).values()
        check_slow(alone, slow)


@pytest.mark.slow
def test_thinking_ends_when_the_last_token_of_the_marker_is_shown(mixed):
    one = mixed("llama", "soft_thinking", "</think>")
    assert one.model.latent_tokens.ending == (one.tokenizer.convert_tokens_to_ids("</think>"),)
    assert mixed("llama", "soft_thinking").model.latent_tokens.ending == (
        one.tokenizer.convert_tokens_to_ids(">"),
    )
    found = one.sample(PLAIN, questions=4)
    counts = set()
    for (number, _), trajectory in found.items():
        slow = one.slow.soft_thinking(one.prompts()[number], **USUAL, most=MOST, new=NEW)
        check_slow(trajectory, slow)
        counts.add(len(slow.thoughts))
    assert len(counts) > 1


@pytest.mark.parametrize(("entropy", "steps"), slow_but([(1.5, 2), (2.5, 1), (1.0, 3)], (1.5, 2)))
def test_cold_stop_ends_thinking_and_then_answers(mixed, entropy, steps):
    cold = (entropy, steps)
    one = mixed("llama", "soft_thinking")
    settings = {**PLAIN, "cold_stop_entropy": cold[0], "cold_stop_steps": cold[1]}
    found = one.sample(settings, questions=4)
    free = one.sample(PLAIN, questions=4)
    for (number, _), trajectory in found.items():
        slow = one.slow.soft_thinking(one.prompts()[number], **USUAL, most=MOST, new=NEW, cold=cold)
        check_slow(trajectory, slow)
        assert trajectory.truncated == (slow.answer[-1] != one.slow.eos)
    shorter = [
        (len(found[at].thoughts) < len(free[at].thoughts), found[at].answer_ids, free[at])
        for at in found
    ]
    assert any(thoughts for thoughts, *_ in shorter)


@pytest.mark.slow
def test_gumbel_noise_may_change_what_is_shown(mixed):
    one = mixed("llama", "soft_thinking", "</think>")
    settings = {**LENGTHS, "gumbel_temperature": 0.5, "num_return_sequences": 3}
    found = one.sample(settings, questions=2)
    for (number, sample), trajectory in found.items():
        prompt = one.prompts()[number]
        key = sample_key(SEED, prompt, sample)

        def noisy(p, ids, position, key=key):
            uniform = randomness.uniform(key, torch.tensor(position), site=0, size=1000)[ids]
            noise = [-math.log(-math.log(u)) for u in uniform.tolist()]
            return ((p.log() + torch.tensor(noise)) / 0.5).softmax(dim=-1)

        slow = one.slow.soft_thinking(prompt, **USUAL, most=MOST, new=NEW, late=noisy)
        check_slow(trajectory, slow)
    assert len({len(t.thoughts) for t in found.values()}) > 1


@pytest.mark.slow
def test_dirichlet_weights_are_drawn_before_the_largest_are_chosen(mixed):
    """Tokens beyond the largest can be mixed in, since the draw comes first."""
    one = mixed("llama", "soft_thinking")
    settings = {**LENGTHS, "latent_do_sample_by": "dirichlet", "dirichlet_alpha": 2.0}
    settings |= {"num_return_sequences": 200, "mixture_size": 2, "max_latent_length": 1}
    settings |= {"mixture_top_k": 6, "mixture_top_p": 1.0, "mixture_temperature": 1.0}
    found = one.sample(settings, questions=1)
    kept = SoftMixing(mixture_top_k=6, mixture_top_p=1.0, mixture_temperature=1.0).keep(
        one.slow.logits(one.slow.embedding[one.prompts()[0]]).detach()[None]
    )
    seen = {int(i) for t in found.values() if len(t.thoughts) for i in t.mixture.ids[0]}
    assert seen == set(kept.ids[0].tolist())
    first = int(kept.ids[0, 0])
    largest = [int(t.mixture.ids[0, 0]) == first for t in found.values() if len(t.thoughts)]
    draws = np.random.default_rng(0).dirichlet(2.0 * kept.weights[0].double().numpy(), 100_000)
    expected = float((draws.argmax(axis=1) == 0).mean())
    assert stats.binomtest(sum(largest), len(largest), expected).pvalue > 0.001


@pytest.mark.parametrize("kind", ["llama", "deepseek"])
def test_prompts_are_in_the_models_own_chat_format(mixed, kind):
    one = mixed(kind, "soft_thinking")
    written = one.tokenizer.apply_chat_template(
        [{"role": "user", "content": f"{INSTRUCTION}\n2+2?"}],
        tokenize=False,
        add_generation_prompt=True,
    )
    if kind == "llama":
        written += "\n<think>\n"
    assert written.endswith("<think>\n")  # once, also where the template has it
    assert one.model.format_prompt("2+2?") == written


def test_a_model_without_chat_template_is_asked_plainly(tmp_path):
    folder = write_checkpoint(tmp_path, "qwen")
    (folder / "chat_template.jinja").unlink()
    model = AutoLatentModel.from_pretrained(folder, backbone="soft_thinking")
    assert model.format_prompt("2+2?") == f"{INSTRUCTION}\n2+2?\n<think>\n"


def test_what_cannot_be_used_is_refused(mixed):
    model = mixed("llama", "soft_thinking").model
    for settings, message in (
        ({"mixture_top_p": 0.0}, "mixture_top_p=0.0; allowed is a number above 0 and at most 1"),
        ({"mixture_min_p": 1.0}, "mixture_min_p=1.0; allowed is a number at least 0 and below 1"),
        ({"cold_stop_steps": 0}, "cold_stop_steps=0; allowed is a whole number of at least 1"),
    ):
        with pytest.raises(ModelError, match=message):
            model.settings(**settings)
    with pytest.raises(ModelError, match=r"cold_stop_entropy=0\.1 says how .* mixes otherwise"):
        mixed("llama").model.settings(cold_stop_entropy=0.1)

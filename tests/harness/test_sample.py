"""From questions to pools: what a batch holds, and running out of memory, change no sample."""

import logging

import pytest
import torch

from latent_tts.harness.pools import Reader
from latent_tts.harness.sample import answer, sample_pools
from latent_tts.models import AutoLatentModel, EngineOptions, ModelError, load_tokenizer
from latent_tts.models.engine.prompts import pad_left
from tests.harness.evaluation import question
from tests.marks import slow_but
from tests.reward.checkpoints import random_reward_model

QUESTIONS = [question(index) for index in range(10)]


@pytest.fixture(scope="module", params=slow_but(["coconut", "colar"], "colar"))
def loaded(request, checkpoints):
    """A backbone, its tokenizer and settings under which its samples differ."""
    folder = checkpoints[request.param]
    model = AutoLatentModel.from_pretrained(folder)
    lengths = {"max_latent_length": 5} if request.param == "colar" else {"latent_length": 3}
    settings = model.settings(
        latent_do_sample_by="noise",
        noise_std=0.05 if request.param == "colar" else 1.0,
        num_return_sequences=2,
        max_new_tokens=12,
        **lengths,
    )
    return model, load_tokenizer(str(folder)), settings


def test_every_question_gets_its_own_pool_in_order(loaded):
    model, tokenizer, settings = loaded
    reader = Reader(model, tokenizer, settings)
    prompts = [model.encode_prompt(tokenizer, question) for question in QUESTIONS]
    done = list(answer(reader, prompts, batch_size=3))
    pools = sample_pools(model, tokenizer, QUESTIONS, settings, batch_size=3)
    assert sorted(own.index for own in done) == list(range(10))
    assert all(own.pool == pools[own.index] and own.drawn == 2 for own in done)
    for index in (0, 5, 9):
        assert sample_pools(model, tokenizer, [QUESTIONS[index]], settings) == [pools[index]]
    assert len(set(pools)) > 3
    assert all([one.sample for one in pool.candidates] == [0, 1] for pool in pools)


def test_the_longest_questions_are_read_first(loaded):
    model, tokenizer, settings = loaded
    read = []

    def watch(module, args, kwargs):
        if kwargs.get("attention_mask") is not None:
            read.append(kwargs["attention_mask"].sum(dim=1).tolist())

    hook = model.base_model.register_forward_pre_hook(watch, with_kwargs=True)
    try:
        sample_pools(model, tokenizer, QUESTIONS, settings, batch_size=3)
    finally:
        hook.remove()
    waves = [wave for wave in read if wave != [4]]  # what tries the model has four tokens
    assert max(map(len, waves)) <= 3
    lengths = [len(model.encode_prompt(tokenizer, text)) for text in QUESTIONS]
    assert [length for wave in waves for length in wave] == sorted(lengths, reverse=True)


def test_no_questions_no_pools(loaded):
    assert sample_pools(loaded[0], loaded[1], [], loaded[2]) == []


def test_candidates_are_the_rows_of_generate(loaded):
    model, tokenizer, settings = loaded
    (pool,) = sample_pools(model, tokenizer, QUESTIONS[:1], settings)
    prompt = model.encode_prompt(tokenizer, QUESTIONS[0])
    output = model.generate(
        torch.tensor([prompt]), generation_config=settings, return_dict_in_generate=True
    )
    for row, candidate in enumerate(pool.candidates):
        thoughts, tokens = int(output.latent_lengths[row]), int(output.answer_lengths[row])
        start = len(prompt) + thoughts + 1
        ids = output.sequences[row, start : start + tokens].tolist()
        assert candidate.truncated is bool(output.truncated[row])
        assert (ids[-1] == tokenizer.eos_token_id) is not candidate.truncated
        ids = ids if candidate.truncated else ids[:-1]
        assert candidate.text == tokenizer.decode(ids)
        assert candidate.answer == model.read_answer(candidate.text)
        assert (candidate.thoughts, candidate.answer_tokens) == (thoughts, tokens)


@pytest.fixture
def reward_model(loaded):
    return random_reward_model(loaded[0])


@pytest.mark.parametrize("batch_size", slow_but([1, 4, None], 4))
def test_candidates_are_scored_by_the_batch(loaded, reward_model, monkeypatch, batch_size):
    model, tokenizer, settings = loaded
    sizes = limit_memory(monkeypatch, reward_model, 99)
    pools = sample_pools(
        model, tokenizer, QUESTIONS, settings, reward_model=reward_model, batch_size=batch_size
    )
    assert sizes == {1: [1] * 10, 4: [4, 4, 2], None: [10]}[batch_size]
    for index in (0, 9):
        pool = pools[index]
        ids = torch.tensor([model.encode_prompt(tokenizer, QUESTIONS[index])])
        output = model.generate(ids, generation_config=settings, return_dict_in_generate=True)
        rewards = reward_model.score(
            ids,
            latent_thoughts=output.latent_thoughts[None],
            lengths=output.latent_lengths[None],
        )[0]
        for candidate, expected in zip(pool.candidates, rewards.tolist(), strict=True):
            steps = list(candidate.step_rewards)
            assert steps == pytest.approx(expected[: candidate.thoughts], abs=1e-3)
            assert candidate.reward == pytest.approx(sum(expected), abs=1e-3)


def limit_memory(monkeypatch, reward_model, most, error=None):
    """Let scoring fail on more than `most` questions; return the numbers that it was asked for."""
    sizes, score = [], reward_model.score_trajectories

    def limited(prompts, trajectories):
        sizes.append(len(prompts))
        if len(prompts) > most:
            raise error
        return score(prompts, trajectories)

    monkeypatch.setattr(reward_model, "score_trajectories", limited)
    return sizes


OUT_OF_MEMORY = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


@pytest.mark.parametrize("most", [1, 3])
def test_running_out_of_memory_while_scoring_halves_the_questions(
    loaded, reward_model, monkeypatch, caplog, most
):
    model, tokenizer, settings = loaded
    expected = sample_pools(model, tokenizer, QUESTIONS, settings, reward_model=reward_model)
    sizes = limit_memory(monkeypatch, reward_model, most, OUT_OF_MEMORY)
    with caplog.at_level(logging.WARNING):
        pools = sample_pools(model, tokenizer, QUESTIONS, settings, reward_model=reward_model)
    for found, own in zip(pools, expected, strict=True):
        for ours, theirs in zip(found.candidates, own.candidates, strict=True):
            assert (ours.text, ours.thoughts) == (theirs.text, theirs.thoughts)
            assert ours.reward == pytest.approx(theirs.reward, abs=1e-3)
    assert caplog.messages[0] == "Out of memory: going on with 5 questions at once."
    assert sizes[:2] == [10, 5]
    assert sum(size for size in sizes if size <= most) == 10


@pytest.mark.parametrize(
    ("error", "sizes"), [(OUT_OF_MEMORY, [8, 4, 2, 1]), (RuntimeError("mat1 and mat2"), [8])]
)
def test_what_less_at_once_does_not_help_is_shown(loaded, reward_model, monkeypatch, error, sizes):
    model, tokenizer, settings = loaded
    asked = limit_memory(monkeypatch, reward_model, 0, error)
    with pytest.raises(RuntimeError, match=r"Tried|mat1"):
        sample_pools(model, tokenizer, QUESTIONS[:8], settings, reward_model=reward_model)
    assert asked == sizes


@pytest.mark.slow
def test_running_out_of_memory_while_sampling_changes_no_pool(loaded, caplog):
    model, tokenizer, settings = loaded
    expected = sample_pools(model, tokenizer, QUESTIONS, settings)

    def limited(module, args, kwargs):
        if kwargs.get("inputs_embeds") is not None and len(kwargs["inputs_embeds"]) > 3:
            raise OUT_OF_MEMORY

    hook = model.base_model.register_forward_pre_hook(limited, with_kwargs=True)
    try:
        pools = sample_pools(model, tokenizer, QUESTIONS, settings)
    finally:
        hook.remove()
    assert pools == expected
    assert "going on with 10 samples in a batch" in caplog.text


def test_a_prompt_that_does_not_fit_fails_before_anything_is_found(loaded):
    model, tokenizer, settings = loaded
    texts = [*QUESTIONS, "How many pens are there? " * 20]
    prompts = [model.encode_prompt(tokenizer, text) for text in texts]
    found = answer(Reader(model, tokenizer, settings), prompts, batch_size=1)
    with pytest.raises(ModelError, match=r"positions; .* has 192"):
        next(found)


def test_the_engines_options_bound_what_is_scored_at_once(loaded, reward_model, monkeypatch):
    model, tokenizer, settings = loaded
    sizes = limit_memory(monkeypatch, reward_model, 99)
    monkeypatch.setattr(model, "engine_options", EngineOptions(max_rows=7))
    sample_pools(model, tokenizer, QUESTIONS, settings, reward_model=reward_model)
    assert sizes == [4, 4, 2]  # seven rows are of four questions with two samples each


def test_prompts_are_padded_on_the_left():
    ids, mask = pad_left([[1, 2, 3], [4]], 9)
    assert ids.tolist() == [[1, 2, 3], [9, 9, 4]]
    assert mask.tolist() == [[1, 1, 1], [0, 0, 1]]

"""From questions to pools: what a batch holds, and running out of memory, change no sample."""

import logging
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from latent_tts.harness import sampling
from latent_tts.harness.sampling import automatic_batch_size, draw_pools, pad_left
from latent_tts.models import AutoLatentModel, ModelError, load_tokenizer
from latent_tts.tasks import Pool
from tests.harness.evaluation import question

QUESTIONS = [question(place) for place in range(10)]


@pytest.fixture(scope="module", params=["coconut", "codi", "colar"])
def loaded(request, checkpoints):
    """A backbone, its tokenizer and settings under which its samples differ."""
    folder = checkpoints[request.param]
    model = AutoLatentModel.from_pretrained(folder)
    lengths = {"max_latent_length": 5} if request.param == "colar" else {"latent_length": 3}
    settings = model.settings(
        latent_do_sample_by="noise",
        noise_std=0.05 if request.param == "colar" else 1.0,
        num_return_sequences=2,
        max_new_tokens=16,
        **lengths,
    )
    return model, load_tokenizer(str(folder)), settings


def test_every_question_gets_its_own_pool_in_order(loaded):
    model, tokenizer, settings = loaded
    places, drawn = [], {}

    def done(place, pool):
        places.append(place)
        drawn[place] = pool

    pools = draw_pools(model, tokenizer, QUESTIONS, settings, batch_size=3, done=done)
    assert pools == [drawn[place] for place in range(10)]
    # Longest first, so that a lack of memory or positions shows at once.
    lengths = [len(QUESTIONS[place]) for place in places]
    assert lengths == sorted(lengths, reverse=True)
    for text, pool in zip(QUESTIONS, pools, strict=True):
        assert draw_pools(model, tokenizer, [text], settings) == [pool]
    assert len(set(pools)) > 3


def test_no_questions_no_pools(loaded):
    assert draw_pools(loaded[0], loaded[1], [], loaded[2]) == []


def test_an_offset_goes_on_where_fewer_samples_stopped(loaded):
    model, tokenizer, settings = loaded
    five = draw_pools(
        model, tokenizer, QUESTIONS[:3], replace(settings, num_return_sequences=5), batch_size=3
    )
    later = draw_pools(model, tokenizer, QUESTIONS[:3], settings, batch_size=3, sample_offset=3)
    assert later == [Pool(pool.candidates[3:]) for pool in five]


def test_candidates_are_the_rows_of_generate(loaded):
    model, tokenizer, settings = loaded
    (pool,) = draw_pools(model, tokenizer, QUESTIONS[:1], settings)
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


@pytest.mark.parametrize(
    ("most", "error"),
    [
        (1, torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")),
        (2, RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB.")),
        (3, RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 4 bytes")),
    ],
)
def test_running_out_of_memory_changes_no_sample(loaded, monkeypatch, caplog, most, error):
    model, tokenizer, settings = loaded
    expected = draw_pools(model, tokenizer, QUESTIONS, settings, batch_size=10)
    sizes = limit_memory(monkeypatch, model, most, error)
    with caplog.at_level(logging.WARNING):
        assert draw_pools(model, tokenizer, QUESTIONS, settings, batch_size=10) == expected
    assert "Out of memory: going on with 5 questions in a batch." in caplog.text
    assert sizes[0] == 10
    assert max(sizes[-(10 // most) :]) <= most
    assert sizes.count(10) == 1  # a size that failed is not tried again


def limit_memory(monkeypatch, model, most, error):
    """Let the model fail on more than `most` questions; returns the sizes that it was asked for."""
    sizes = []
    generate = model.generate

    def limited(input_ids, **options):
        sizes.append(len(input_ids))
        if len(input_ids) > most:
            raise error
        return generate(input_ids=input_ids, **options)

    monkeypatch.setattr(model, "generate", limited)
    return sizes


def test_where_one_question_is_too_much_the_error_is_shown(loaded, monkeypatch):
    model, tokenizer, settings = loaded
    sizes = limit_memory(monkeypatch, model, 0, torch.OutOfMemoryError("CUDA out of memory. Tried"))
    with pytest.raises(torch.OutOfMemoryError, match="Tried"):
        draw_pools(model, tokenizer, QUESTIONS, settings, batch_size=8)
    assert sizes == [8, 4, 2, 1]


def test_other_errors_are_shown_at_once(loaded, monkeypatch):
    model, tokenizer, settings = loaded
    sizes = limit_memory(monkeypatch, model, 0, RuntimeError("mat1 and mat2 shapes"))
    with pytest.raises(RuntimeError, match="mat1"):
        draw_pools(model, tokenizer, QUESTIONS, settings, batch_size=8)
    assert sizes == [8]


def test_a_prompt_that_does_not_fit_fails_before_anything_is_drawn(loaded):
    model, tokenizer, settings = loaded
    drawn = []
    with pytest.raises(ModelError, match=r"positions; .* has 192"):
        draw_pools(
            model,
            tokenizer,
            [*QUESTIONS, "How many pens are there? " * 20],
            settings,
            batch_size=1,
            done=lambda place, pool: drawn.append(place),
        )
    assert drawn == []


def test_the_automatic_size_counts_rows_on_a_cpu(loaded):
    model, _, settings = loaded
    sizes = [
        automatic_batch_size(model, replace(settings, num_return_sequences=count), longest=100)
        for count in (1, 16, 64, 1000)
    ]
    assert sizes == [256, 16, 4, 1]


def test_the_automatic_size_counts_bytes_on_a_gpu(loaded, monkeypatch):
    _, _, settings = loaded
    config = SimpleNamespace(num_hidden_layers=2, hidden_size=100)
    model = SimpleNamespace(device=torch.device("cuda"), dtype=torch.float16, config=config)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (64 * 10**6, 10**9))
    settings = replace(settings, max_new_tokens=20, num_return_sequences=2)
    # Half of the memory over 4 · (80 + 20) positions · 2 layers · 100 numbers · 2 bytes · 2 rows.
    assert automatic_batch_size(model, settings, longest=80) == 100


def test_an_automatic_size_can_be_bounded(loaded, monkeypatch):
    model, tokenizer, settings = loaded
    sizes = limit_memory(monkeypatch, model, 99, None)
    draw_pools(model, tokenizer, QUESTIONS, settings, max_batch_size=4)
    assert sizes == [4, 4, 2]


def test_prompts_are_padded_on_the_left():
    ids, mask = pad_left([[1, 2, 3], [4]], 9)
    assert ids.tolist() == [[1, 2, 3], [9, 9, 4]]
    assert mask.tolist() == [[1, 1, 1], [0, 0, 1]]


def test_memory_of_an_accelerator_is_given_back(monkeypatch):
    emptied = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: emptied.append(True))
    sampling._release_memory()
    assert emptied == [True]

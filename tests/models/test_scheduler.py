"""What is in the batch, when it joins and what happens to memory change no sample."""

import logging
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
import torch

from latent_tts.models import EngineOptions
from latent_tts.models.engine import scheduler
from latent_tts.models.engine.scheduler import most_rows, sample
from tests.models.sampled import COMMON, check_same, thought_length


def drawn(backbone, settings, *, count, questions=5, batch_size=None, max_rows=1000, **options):
    """The record of each prompt; each prompt is given exactly once."""
    model = backbone.model
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model, "engine", EngineOptions(max_rows=max_rows, **options))
        records = list(
            sample(
                model,
                backbone.prompts(questions),
                model.settings(**settings, num_return_sequences=count),
                batch_size=batch_size,
            )
        )
    assert sorted(place for place, _ in records) == list(range(questions))
    return dict(records)


def check_all_same(found, expected):
    assert found.keys() == expected.keys()
    for place, record in expected.items():
        check_same(found[place], record)


@pytest.fixture
def noise(backbone):
    return {**COMMON, **thought_length(backbone, 5), "latent_do_sample_by": "noise"}


@pytest.fixture
def steps(monkeypatch):
    """Before each step: the number of rows, the prompts' blocks, inputs fed, places recorded."""
    seen, advance = [], scheduler.advance

    def watched(model, rows, settings, sampler, record):
        blocks = rows.index // settings.num_return_sequences
        assert len(rows.index.unique()) == len(rows)
        seen.append(
            SimpleNamespace(
                rows=len(rows),
                prompts=len(blocks.unique()),
                fed=rows.fed.tolist(),
                places=len(record.tokens),
            )
        )
        return advance(model, rows, settings, sampler, record)

    monkeypatch.setattr(scheduler, "advance", watched)
    return seen


def test_few_rows_at_a_time_give_the_same_samples(backbone, sampling):
    expected = drawn(backbone, sampling, count=5)
    assert len({tuple(row) for record in expected.values() for row in record.tokens.tolist()}) > 5
    lengths = torch.cat([record.answer_lengths for record in expected.values()])
    assert len(lengths.unique()) > 1
    check_all_same(drawn(backbone, sampling, count=5, max_rows=7), expected)


@pytest.mark.parametrize(
    ("count", "max_rows", "batch_size"),
    [
        *((1, 1, None), (1, 2, None), (1, 7, 2), (1, 1000, 1)),
        *((5, 2, 1), (5, 3, None), (5, 7, 2), (5, 64, None)),
        *((9, 1, 2), (9, 7, None), (9, 64, 2), (9, 64, None), (9, 1000, 1)),
    ],
)
def test_a_batch_is_full_and_no_fuller(backbones, steps, count, max_rows, batch_size):
    backbone = backbones["colar"]  # whose rows leave at any time, some without a thought
    settings = {**COMMON, **thought_length(backbone, 5), "latent_do_sample_by": "noise"}
    expected = drawn(backbone, settings, count=count)
    steps.clear()
    found = drawn(backbone, settings, count=count, max_rows=max_rows, batch_size=batch_size)
    check_all_same(found, expected)
    assert max(step.rows for step in steps) <= max_rows
    assert max(step.prompts for step in steps) <= (batch_size or 5)
    # Full to begin with: whole waves of half the size, while there are prompts for them.
    assert steps[0].rows >= min(max_rows // 2, count * (batch_size or 5), 5 * count)


def test_waiting_questions_join_while_others_still_answer(backbone, noise, steps):
    long = {**noise, "max_new_tokens": 30}
    records = drawn(backbone, long, count=2, max_rows=4, questions=8, drafts=False)
    cut = torch.cat([record.truncated for record in records.values()])
    assert cut.any()  # an endless answer
    assert not cut.all()
    joined = [step for step in steps if 0 in step.fed and max(step.fed) > 0]
    assert len(joined) > 1
    rows = sum(step.rows for step in steps)
    lengths = [record.latent_lengths + 1 + record.answer_lengths for record in records.values()]
    assert rows == int(torch.cat(lengths).sum())  # no step is made twice, or for a row that is done


def test_a_prompt_is_read_once_however_many_waves_its_samples_need(backbone, noise, monkeypatch):
    read, prefill = [], scheduler.prefill

    def watched(model, input_ids, *args):
        read.append(len(input_ids))
        return prefill(model, input_ids, *args)

    monkeypatch.setattr(scheduler, "prefill", watched)
    drawn(backbone, noise, count=9, max_rows=4)
    assert read == [1] * 5
    read.clear()
    drawn(backbone, noise, count=1, max_rows=6)
    assert read[0] == 3
    assert sum(read) == 5


def test_the_record_does_not_grow_with_the_number_of_prompts(backbone, noise, steps):
    drawn(backbone, noise, count=2, max_rows=8, questions=40)
    # Eight rows are of eight prompts at most, whose blocks of two places are taken again.
    assert max(step.places for step in steps) <= 2 * 8


def test_the_record_is_no_wider_than_the_positions(backbone, noise):
    """So that a caller may ask for no limit at all."""
    model = backbone.model
    longest = model.config.max_position_embeddings - min(map(len, backbone.prompts(2)))
    endless = drawn(backbone, noise | {"max_new_tokens": 10**12}, count=2, questions=2)
    expected = drawn(backbone, noise | {"max_new_tokens": longest}, count=2, questions=2)
    check_all_same(endless, expected)
    assert endless[0].tokens.shape == (2, longest)


OUT_OF_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 4 bytes"),
    RuntimeError("could not create a primitive"),  # oneDNN's
    MemoryError(),
]


def limit_memory(monkeypatch, most, error, *, at="advance"):
    """Let `advance` or `prefill` fail on more than `most` rows; return what they were asked for."""
    asked, original = [], getattr(scheduler, at)

    def limited(model, *args):
        size = len(args[0]) if at == "advance" else args[2].numel()
        asked.append(size)
        if size > most:
            raise error
        return original(model, *args)

    monkeypatch.setattr(scheduler, at, limited)
    return asked


@pytest.mark.parametrize("at", ["advance", "prefill"])
@pytest.mark.parametrize(("most", "error"), list(zip([1, 3, 7, 2, 5], OUT_OF_MEMORY, strict=True)))
def test_running_out_of_memory_changes_no_sample(
    backbone, noise, monkeypatch, caplog, at, most, error
):
    expected = drawn(backbone, noise, count=5, max_rows=20)
    asked = limit_memory(monkeypatch, most, error, at=at)
    with caplog.at_level(logging.WARNING):
        check_all_same(drawn(backbone, noise, count=5, max_rows=20), expected)
    failures = [size for size in asked if size > most]
    assert failures == sorted(set(failures), reverse=True)  # what failed is not tried again
    assert len(caplog.messages) == len(failures) > 0
    half = failures[0] // 2
    assert caplog.messages[0] == f"Out of memory: going on with {half} samples in a batch."


@pytest.mark.parametrize(
    ("owner", "name"),
    [(scheduler, "advance"), (scheduler, "prefill"), (scheduler._Blocks, "of")],
    ids=["advance", "prefill", "of"],
)
def test_whenever_memory_runs_out_nothing_is_lost(backbone, noise, monkeypatch, owner, name):
    expected = drawn(backbone, noise, count=3, max_rows=8, questions=7)
    calls, fails_at, original = [], set(), getattr(owner, name)

    def failing(*args):
        calls.append(name)
        if len(calls) in fails_at:
            raise OUT_OF_MEMORY[0]
        return original(*args)

    monkeypatch.setattr(owner, name, failing)
    for call in (1, 2, 3, 4, 6, 9, 13, 18, 24):
        calls.clear()
        fails_at = {call}
        check_all_same(drawn(backbone, noise, count=3, max_rows=8, questions=7), expected)
    assert len(calls) > 5  # most of these calls there were


def test_a_complete_prompt_that_cannot_be_copied_is_sampled_again(backbone, noise, monkeypatch):
    expected, read, reads = drawn(backbone, noise, count=3), scheduler.Record.read, []

    def limited(record, part):
        reads.append(part)
        if len(reads) in (2, 5):
            raise OUT_OF_MEMORY[1]
        return read(record, part)

    monkeypatch.setattr(scheduler.Record, "read", limited)
    check_all_same(drawn(backbone, noise, count=3), expected)
    assert len(reads) == 7


def test_where_one_row_is_too_much_the_error_is_shown(backbone, noise, monkeypatch):
    asked = limit_memory(monkeypatch, 0, OUT_OF_MEMORY[0])
    with pytest.raises(torch.OutOfMemoryError, match="Tried"):
        drawn(backbone, noise, count=1, max_rows=16, questions=8)
    assert asked == [8, 4, 2, 1]


def test_other_errors_are_shown_at_once(backbone, noise, monkeypatch, caplog):
    asked = limit_memory(monkeypatch, 2, RuntimeError("mat1 and mat2 shapes"))
    with pytest.raises(RuntimeError, match="mat1"):
        drawn(backbone, noise, count=5)
    assert asked == [25]
    assert not caplog.messages


def changes(model):
    """What the engine changes in a model while it computes."""
    hooks = [hook for part in model.modules() for hook in part._forward_hooks.values()]
    forwards = [part for part in model.modules() if "forward" in vars(part)]
    return hooks, forwards, model.config._attn_implementation


DROPOUT = {**COMMON, "dropout_p": 0.1, "dropout_site": "residual"}


def test_who_stops_early_leaves_the_model_as_it_was(backbone, monkeypatch):
    model, before = backbone.model, changes(backbone.model)
    monkeypatch.setattr(model, "engine", EngineOptions(max_rows=2))
    settings = model.settings(**DROPOUT, **thought_length(backbone, 3), num_return_sequences=2)
    samples = sample(model, backbone.prompts(4), settings)
    next(samples)
    assert torch.is_grad_enabled()
    assert changes(model) == before
    samples.close()
    assert changes(model) == before == ([], [], model.config._attn_implementation)


def test_the_model_may_be_used_between_questions(backbone, monkeypatch):
    model, prompts = backbone.model, backbone.prompts(6)
    own = {**DROPOUT, **thought_length(backbone, 4)}
    other = {**own, "dropout_p": 0.3, "seed": 8, "max_new_tokens": 9}
    expected = drawn(backbone, own, count=2, questions=6)
    others = [backbone.generate([prompt], **other) for prompt in prompts]
    monkeypatch.setattr(model, "engine", EngineOptions(max_rows=4))
    found = {}
    for place, record in sample(model, prompts, model.settings(**own, num_return_sequences=2)):
        found[place] = record
        check_same(backbone.generate([prompts[place]], **other), others[place])
    check_all_same(found, expected)


def test_two_threads_share_a_model(backbone, noise):
    expected = drawn(backbone, noise, count=3)
    model, prompts = backbone.model, backbone.prompts(5)
    settings = model.settings(**noise, num_return_sequences=3)
    with ThreadPoolExecutor(2) as threads:
        runs = [threads.submit(lambda: dict(sample(model, prompts, settings))) for _ in range(6)]
        for found in runs:
            check_all_same(found.result(), expected)


@pytest.fixture
def held(monkeypatch):
    """Before each step: positions held, and the number of rows."""
    seen, advance = [], scheduler.advance

    def watched(model, rows, *args):
        seen.append((rows.cache.positions, len(rows)))
        return advance(model, rows, *args)

    monkeypatch.setattr(scheduler, "advance", watched)
    return seen


@pytest.mark.parametrize(("questions", "count"), [(5, 4), (1, 12)])
@pytest.mark.parametrize("budget", [250, 900])
def test_the_token_budget_bounds_what_is_held(
    backbone, noise, monkeypatch, caplog, held, budget, questions, count
):
    long = {**noise, "max_new_tokens": 90}
    how = {"count": count, "questions": questions, "drafts": False}
    caplog.set_level(logging.INFO)
    expected = drawn(backbone, long, **how)
    needed = sum(rows for _, rows in held)
    held.clear()
    monkeypatch.setattr(scheduler, "most_positions", lambda model: budget)
    check_all_same(drawn(backbone, long, **how), expected)
    assert budget > 250 or "Long answers: going on with" in caplog.text
    assert all(positions <= budget or rows == 1 for positions, rows in held)
    assert needed <= sum(rows for _, rows in held) <= 1.6 * needed
    held.clear()
    drawn(backbone, {**noise, "max_new_tokens": 12}, **how)
    assert max(positions for positions, _ in held) > 100  # room is used


def made_model(*, device="cpu", dtype=torch.float32, parameters=10**9, **config):
    """What `most_rows` asks of a model."""
    sizes = {"num_hidden_layers": 2, "num_attention_heads": 5, "hidden_size": 100}
    return SimpleNamespace(
        device=torch.device(device),
        dtype=dtype,
        config=SimpleNamespace(**sizes, **config),
        num_parameters=lambda exclude_embeddings: parameters if exclude_embeddings else 0,
    )


@pytest.fixture
def settings(backbones):
    return backbones["coconut"].model.settings(latent_do_sample_by="noise")


@pytest.fixture
def free(monkeypatch):
    """Set the free memory, on the CPU and on a GPU; the other is said to have none."""

    def has(*, cpu=0, gpu=0):
        left = {"cpu": cpu, "cuda": gpu}
        monkeypatch.setattr(scheduler, "free_memory", lambda device: left[device.type])

    return has


def test_the_size_that_is_asked_for_wins(free, settings):
    free()
    model = made_model()
    model.engine = EngineOptions(max_rows=9999)
    assert most_rows(model, settings, longest=10) == 9999


@pytest.mark.parametrize(
    ("parameters", "threads", "rows"),
    # 1.1e10 operations for each thread, two of them for every parameter.
    [(10**10, 8, 64), (10**8, 4, 220), (10**8, 8, 440), (10**6, 1, 512)],
)
def test_a_cpu_is_kept_busy(free, settings, monkeypatch, parameters, threads, rows):
    free(cpu=10**12)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    assert most_rows(made_model(parameters=parameters), settings, longest=10) == rows


def test_a_gpu_takes_many_rows(free, settings):
    free(gpu=10**12)
    assert most_rows(made_model(device="cuda"), settings, longest=10) == 4096


# Keys and values of 64 positions, two layers, 100 numbers of four bytes.
ROW = 2 * 64 * 2 * 100 * 4


@pytest.mark.parametrize(
    ("model", "row"),
    [
        (made_model(), ROW),
        (made_model(dtype=torch.bfloat16), ROW // 2),
        (made_model(num_key_value_heads=1), ROW // 5),
        (made_model(head_dim=40), ROW * 2),
        (made_model(device="cuda"), ROW),
    ],
)
def test_rows_take_half_of_the_free_memory_at_most(free, settings, model, row):
    for rows in (1, 10, 50):
        for spare, expected in ((0, rows), (-2, max(1, rows - 1))):
            memory = 2 * rows * row + spare
            free(**{"gpu" if model.device.type == "cuda" else "cpu": memory})
            assert most_rows(model, settings, longest=0) == expected


def test_a_prompt_counts_for_every_row_where_every_row_reads_it(free, backbones):
    each = {"num_return_sequences": 192}
    whole = backbones["coconut"].model.settings(dropout_scope="prompt_and_thoughts", **each)
    thoughts = backbones["coconut"].model.settings(dropout_scope="thoughts", **each)
    free(cpu=2 * 40 * ROW)
    assert most_rows(made_model(), thoughts, longest=192) == 40 * 64 // 65
    assert most_rows(made_model(), whole, longest=192) == 10  # four times as many positions
    free(cpu=10**12)
    assert most_rows(made_model(), thoughts, longest=192) == 4 * most_rows(
        made_model(), whole, longest=192
    )


def test_memory_of_an_accelerator_is_given_back(backbones, monkeypatch):
    emptied = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: emptied.append(True))
    limit_memory(monkeypatch, 2, OUT_OF_MEMORY[0])
    drawn(backbones["coconut"], COMMON, count=1, questions=4)
    assert emptied == [True]

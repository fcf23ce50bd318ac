"""How many rows are advanced at once, and doing work in parts where memory runs out."""

import logging
from types import SimpleNamespace

import pytest
import torch

from latent_tts.models import EngineOptions
from latent_tts.models.engine import budget
from latent_tts.models.engine.budget import Budget, in_parts


def made_model(*, device="cpu", dtype=torch.float32, parameters=10**9, max_rows=None, **config):
    """What a budget asks of a model."""
    sizes = {"num_hidden_layers": 2, "num_attention_heads": 5, "hidden_size": 100}
    config = SimpleNamespace(**sizes, **config)
    config.get_text_config = lambda: config
    return SimpleNamespace(
        device=torch.device(device),
        dtype=dtype,
        config=config,
        engine_options=EngineOptions(max_rows=max_rows),
        num_parameters=lambda exclude_embeddings: parameters if exclude_embeddings else 0,
    )


def rows(model, *, longest=10, sharing=1, own_prompts=False):
    return Budget(model, longest=longest, sharing=sharing, own_prompts=own_prompts).rows


@pytest.fixture
def free(monkeypatch):
    """Set the free memory, on the CPU and on a GPU; the other is said to have none."""

    def has(*, cpu=0, gpu=0):
        left = {"cpu": cpu, "cuda": gpu}
        monkeypatch.setattr(budget, "free_memory", lambda device: left[device.type])

    return has


def test_the_size_that_is_asked_for_wins(free):
    free()
    assert rows(made_model(max_rows=9999)) == 9999


@pytest.mark.parametrize(
    ("parameters", "threads", "expected"),
    # 1.1e10 operations for each thread, two of them for every parameter.
    [(10**10, 8, 64), (10**8, 4, 220), (10**8, 8, 440), (10**6, 1, 512)],
)
def test_a_cpu_is_kept_busy(free, monkeypatch, parameters, threads, expected):
    free(cpu=10**12)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    assert rows(made_model(parameters=parameters)) == expected


def test_a_gpu_takes_many_rows(free):
    free(gpu=10**12)
    assert rows(made_model(device="cuda")) == 4096


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
def test_rows_take_half_of_the_free_memory_at_most(free, model, row):
    for count in (1, 10, 50):
        for spare, expected in ((0, count), (-2, max(1, count - 1))):
            memory = 2 * count * row + spare
            free(**{"gpu" if model.device.type == "cuda" else "cpu": memory})
            assert rows(model, longest=0) == expected


def test_a_prompt_counts_for_every_row_where_every_row_reads_it(free):
    prompt = {"longest": 192, "sharing": 192}
    free(cpu=2 * 40 * ROW)
    assert rows(made_model(), **prompt) == 40 * 64 // 65
    assert rows(made_model(), **prompt, own_prompts=True) == 10  # four times as many positions
    free(cpu=10**12)
    shared, own = (rows(made_model(), **prompt, own_prompts=own) for own in (False, True))
    assert shared == 4 * own


def test_what_is_held_is_bounded_but_for_the_first_rows(free):
    free(cpu=2 * 10 * ROW)
    found = Budget(made_model(), longest=0, sharing=1, own_prompts=False)
    assert found.positions == 640
    assert found.fits(640 - 3 * 64, 3)
    assert not found.fits(640 - 3 * 64 + 1, 3)
    assert found.fits(0, 1000)
    found.preempted()  # rows are longer than expected
    assert (found.rows, found.row_positions) == (5, 128)


def refuse(limit, error, calls):
    """Work on a part that fails where it is more than `limit` things."""

    def work(part):
        calls.append((part.start, part.stop))
        if part.stop - part.start > limit:
            raise error
        return [*range(part.start, part.stop)]

    return work


def parts(work, *, count=10, most=8):
    return [found for _, found in in_parts(count, most, work, what="things")]


def test_work_goes_on_with_half_as_much_where_memory_runs_out(caplog):
    calls, error = [], torch.OutOfMemoryError("CUDA out of memory.")
    with caplog.at_level(logging.WARNING):
        found = parts(refuse(3, error, calls))
    assert found == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]]
    assert calls[:3] == [(0, 8), (0, 4), (0, 2)]
    assert caplog.messages == [
        f"Out of memory: going on with {count} things at once." for count in (4, 2)
    ]


def test_what_is_done_is_not_done_again():
    calls = []

    def work(part):
        calls.append((part.start, part.stop))
        if part == slice(8, 12):
            raise MemoryError
        return part

    assert len([*in_parts(12, 4, work, what="things")]) == 4
    assert calls == [(0, 4), (4, 8), (8, 12), (8, 10), (10, 12)]


@pytest.mark.parametrize(("limit", "error"), [(0, MemoryError()), (5, KeyError("other"))])
def test_where_halving_does_not_help_the_error_is_shown(limit, error):
    calls = []
    with pytest.raises(type(error)):
        parts(refuse(limit, error, calls))
    assert calls[-1] == ((0, 1) if limit == 0 else (0, 8))


def test_no_work_is_no_parts():
    assert parts(refuse(0, MemoryError(), []), count=0) == []

"""What is in the batch, when it joins and what happens to memory change no sample."""

import logging
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from latent_tts.models import EngineOptions, sample
from latent_tts.models.engine.candidates import Candidates, EveryTurn
from latent_tts.models.engine.scheduler import run
from tests.marks import slow_but
from tests.models.engine.passes import watching
from tests.models.sampled import COMMON, check_same, thought_length

QUICK_BACKBONES = ("colar",)


@pytest.fixture
def noise(backbone):
    return {**COMMON, **thought_length(backbone, 5), "latent_do_sample_by": "noise"}


@pytest.fixture
def passes(backbone):
    """The passes of the trunk, each as it began."""
    seen = []
    with watching(backbone.model, seen.append):
        yield seen


def steps(passes):
    return [each for each in passes if not each.prefill]


def test_few_rows_at_a_time_give_the_same_samples(backbone, sampling):
    settings = {**sampling, "num_return_sequences": 5}
    expected = backbone.sample(settings, max_rows=1000)
    assert len({one.answer_ids for one in expected.values()}) > 5
    assert len({len(one.answer_ids) for one in expected.values()}) > 1
    check_same(backbone.sample(settings, max_rows=7), expected)


class Begun(Candidates):
    """Samples of prompts, and which prompts have begun."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.begun = set()

    def begin(self, stepper, index, samples):
        self.begun |= set(index)
        return super().begin(stepper, index, samples)


SIZES = [(1, 2, None), (1, 1000, 1), (5, 3, None), (5, 7, 2), (5, 64, None), (9, 1000, 1)]


@pytest.mark.parametrize(
    ("count", "max_rows", "batch_size"), slow_but(SIZES, (1, 2, None), (5, 7, 2))
)
def test_a_batch_is_full_and_no_fuller(backbones, monkeypatch, count, max_rows, batch_size):
    backbone = backbones["colar"]  # whose rows leave at any time, some without a thought
    settings = {**COMMON, **thought_length(backbone, 5), "latent_do_sample_by": "noise"}
    settings = backbone.model.settings(**settings, num_return_sequences=count)
    expected = backbone.sample(settings)
    monkeypatch.setattr(backbone.model, "engine_options", EngineOptions(max_rows=max_rows))
    turns = EveryTurn(5, range(count))
    source = Begun(backbone.prompts(5), turns, sharing=count, own_prompts=False)
    found, passes, prompts = {}, [], []
    with watching(backbone.model, passes.append):
        for _, one in run(backbone.model, settings, source, most_work=lambda: batch_size or 9):
            found[one.question, one.sample] = one
            ended = [name for name in source.begun if sum(name == at for at, _ in found) == count]
            prompts.append(len(source.begun) - len(ended))
    check_same(found, expected)
    assert max(step.rows for step in steps(passes)) <= max_rows
    assert max(prompts) <= (batch_size or 5)
    # Full to begin with: waves of half the size, while there are prompts for them.
    assert steps(passes)[0].rows >= min(max_rows // 2, count * (batch_size or 5), 5 * count)


def test_waiting_questions_join_while_others_still_answer(backbone, noise, passes):
    long = {**noise, "max_new_tokens": 30, "num_return_sequences": 2}
    found = backbone.sample(long, questions=8, max_rows=4)
    cut = [one.truncated for one in found.values()]
    assert any(cut)  # an endless answer
    assert not all(cut)
    joined = [step for step in steps(passes) if 0 in step.read and max(step.read) > 0]
    assert len(joined) > 1
    # Thoughts, the end marker and all tokens but the last: no row is read twice or when it is done.
    needed = sum(len(one.thoughts) + len(one.answer_ids) for one in found.values())
    assert sum(step.rows for step in steps(passes)) == needed


@pytest.mark.slow
def test_a_prompt_is_read_once_however_many_waves_its_samples_need(backbone, noise, passes):
    backbone.sample({**noise, "num_return_sequences": 9}, max_rows=4)
    assert [each.rows for each in passes if each.prefill] == [1] * 5
    passes.clear()
    backbone.sample(noise, max_rows=6)
    read = [each.rows for each in passes if each.prefill]
    assert read[0] == 3
    assert sum(read) == 5


def test_there_may_be_no_limit_of_tokens_but_the_positions(backbone, noise):
    model, how = backbone.model, {"questions": 2}
    longest = model.config.max_position_embeddings - min(map(len, backbone.prompts(2)))
    endless = backbone.sample(noise | {"max_new_tokens": 10**12}, **how)
    check_same(endless, backbone.sample(noise | {"max_new_tokens": longest}, **how))


OUT_OF_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 4 bytes"),
    RuntimeError("could not create a primitive"),  # oneDNN's
    MemoryError(),
]


class Memory:
    """Lets passes over more than `most` rows fail; knows what was asked of it."""

    def __init__(self, most, error, *, prefill=False):
        self.most, self.error, self.prefill = most, error, prefill
        self.asked = []

    def __call__(self, each):
        if each.prefill == self.prefill:
            self.asked.append(each.rows)
            if each.rows > self.most:
                raise self.error

    @property
    def failures(self):
        return [rows for rows in self.asked if rows > self.most]


FAILURES = [
    *zip(["colar"] * 5, [1, 3, 7, 2, 5], OUT_OF_MEMORY, [False] * 5, strict=True),
    *(("colar", 3, OUT_OF_MEMORY[0], True), ("codi", 5, OUT_OF_MEMORY[0], False)),
]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "most", "error", "prefill"), FAILURES)
def test_running_out_of_memory_changes_no_sample(backbones, caplog, kind, most, error, prefill):
    backbone = backbones[kind]
    noise = {**COMMON, **thought_length(backbone, 5), "latent_do_sample_by": "noise"}
    how = {"questions": 20 if prefill else 4, "max_rows": 20}
    settings = {**noise, "num_return_sequences": 1 if prefill else 3}
    expected = backbone.sample(settings, **how)
    memory = Memory(most, error, prefill=prefill)
    with caplog.at_level(logging.WARNING), watching(backbone.model, memory):
        check_same(backbone.sample(settings, **how), expected)
    failures = memory.failures
    assert failures == sorted(set(failures), reverse=True)  # what failed is not tried again
    assert len(caplog.messages) == len(failures) > 0
    half = failures[0] // 2
    assert caplog.messages[0] == f"Out of memory: going on with {half} samples in a batch."


class FailingOperation(TorchDispatchMode):
    """Lets one operation of torch fail for lack of memory, whatever it is."""

    def __init__(self, number):
        super().__init__()
        self.number, self.count = number, 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += 1
        if self.count == self.number:
            raise OUT_OF_MEMORY[0]
        return function(*args, **(kwargs or {}))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["noise", "dropout"])
def test_whenever_memory_runs_out_nothing_is_lost(backbones, name):
    settings = {**COMMON, "max_latent_length": 3, "latent_do_sample_by": name}
    settings |= {"num_return_sequences": 2, "max_new_tokens": 10}

    def run(failing):
        with failing:
            return backbones["colar"].sample(settings, questions=3, max_rows=4)

    counted = FailingOperation(0)
    expected = run(counted)
    # From when the first rows join.
    for number in range(10, counted.count, counted.count // 15 | 1):
        check_same(run(FailingOperation(number)), expected)


def test_where_one_row_is_too_much_the_error_is_shown(backbone, noise):
    memory = Memory(0, OUT_OF_MEMORY[0])
    with pytest.raises(torch.OutOfMemoryError, match="Tried"), watching(backbone.model, memory):
        backbone.sample(noise, max_rows=16, questions=8)
    assert memory.asked == [8, 4, 2, 1]


def test_other_errors_are_shown_at_once(backbone, noise, caplog):
    memory = Memory(2, RuntimeError("mat1 and mat2 shapes"))
    with pytest.raises(RuntimeError, match="mat1"), watching(backbone.model, memory):
        backbone.sample({**noise, "num_return_sequences": 5}, max_rows=1000)
    assert memory.asked == [25]
    assert not caplog.messages


def changes(model):
    """What the engine changes in a model while it computes."""
    hooks = [hook for part in model.modules() for hook in part._forward_hooks.values()]
    forwards = [part for part in model.modules() if "forward" in vars(part)]
    return hooks, forwards, model.config._attn_implementation


DROPOUT = {**COMMON, "dropout_p": 0.1, "dropout_site": "residual"}


def test_who_stops_early_leaves_the_model_as_it_was(backbone, monkeypatch):
    model, before = backbone.model, changes(backbone.model)
    monkeypatch.setattr(model, "engine_options", EngineOptions(max_rows=2))
    settings = model.settings(**DROPOUT, **thought_length(backbone, 3), num_return_sequences=2)
    samples = sample(model, backbone.prompts(4), settings)
    next(samples)
    assert torch.is_grad_enabled()
    assert changes(model) == before
    samples.close()
    assert changes(model) == before == ([], [], model.config._attn_implementation)


def test_trajectories_are_given_singly_and_as_soon_as_they_end(backbone, noise, passes):
    model = backbone.model
    settings = model.settings(**{**noise, "max_new_tokens": 60}, num_return_sequences=4)
    at = []
    for one in sample(model, backbone.prompts(3), settings):
        read = len(one.thoughts) + len(one.answer_ids)
        at.append((len(steps(passes)), read))
    # All rows begin together: one that reads n positions is there after n steps, or one more where
    # others read on in the step that ends it.
    assert all(read <= done <= read + 1 for done, read in at)
    assert len(set(at)) > 2
    assert at == sorted(at)


@pytest.mark.slow
def test_the_model_may_be_used_between_trajectories(backbone, monkeypatch):
    model, prompts = backbone.model, backbone.prompts(3)
    own = {**DROPOUT, **thought_length(backbone, 4), "num_return_sequences": 2}
    other = {**DROPOUT, **thought_length(backbone, 4), "dropout_p": 0.3, "seed": 8}
    expected = backbone.sample(own, questions=3)
    others = backbone.sample(other, questions=3)
    monkeypatch.setattr(model, "engine_options", EngineOptions(max_rows=4))
    found = {}
    for one in sample(model, prompts, model.settings(**own)):
        found[one.question, one.sample] = one
        between = backbone.sample(other, prompts=[prompts[one.question]])
        check_same(between, {(0, 0): others[one.question, 0]})
    check_same(found, expected)


@pytest.mark.slow
def test_two_threads_share_a_model(backbone, noise):
    settings = backbone.model.settings(**noise, num_return_sequences=3)
    expected = backbone.sample(settings)
    model, prompts = backbone.model, backbone.prompts(5)

    def work():
        return {(one.question, one.sample): one for one in sample(model, prompts, settings)}

    with ThreadPoolExecutor(2) as threads:
        for found in [threads.submit(work) for _ in range(4)]:
            check_same(found.result(), expected)


BUDGETS = [(5, 4, 250), (1, 12, 250), (5, 4, 900)]


@pytest.mark.parametrize(("questions", "count", "budget"), slow_but(BUDGETS))
@pytest.mark.parametrize("backbone", ["colar"], indirect=True)
def test_the_token_budget_bounds_what_is_held(
    backbone, noise, monkeypatch, caplog, passes, budget, questions, count
):
    long = {**noise, "max_new_tokens": 60, "num_return_sequences": count}
    caplog.set_level(logging.INFO)
    expected = backbone.sample(long, questions=questions, max_rows=1000)
    needed = sum(step.rows for step in steps(passes))
    config = backbone.model.config
    heads = getattr(config, "num_key_value_heads", config.num_attention_heads)
    size = config.hidden_size // config.num_attention_heads
    free = 2 * budget * 2 * config.num_hidden_layers * heads * size * 4  # half of it is taken
    passes.clear()
    monkeypatch.setattr(psutil, "virtual_memory", lambda: Available(free))
    check_same(backbone.sample(long, questions=questions, max_rows=1000), expected)
    assert budget > 250 or "Long answers: going on with" in caplog.text
    assert all(step.held <= budget or step.rows == 1 for step in steps(passes))
    assert needed <= sum(step.rows for step in steps(passes)) <= 1.6 * needed
    passes.clear()
    backbone.sample({**long, "max_new_tokens": 12}, questions=questions, max_rows=1000)
    assert max(step.held for step in steps(passes)) > 100  # what is there is used


class Available:
    """What psutil says of memory."""

    def __init__(self, available):
        self.available = available


def test_memory_of_an_accelerator_is_given_back(backbones, monkeypatch):
    emptied = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: emptied.append(True))
    with watching(backbones["coconut"].model, Memory(2, OUT_OF_MEMORY[0])):
        backbones["coconut"].sample(COMMON, questions=4)
    assert emptied == [True]

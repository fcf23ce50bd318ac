"""What a store costs, in processor time, which other programs change little."""

import random
import statistics
import time

import pytest

from latent_tts.harness.sample import sample_pools
from latent_tts.harness.stores import Stores
from latent_tts.models import AutoLatentModel, load_tokenizer
from latent_tts.results.store import Sampled, Store
from latent_tts.tasks.arith import generate

IDENTITY = {"checkpoint": "c"}


@pytest.mark.slow
def test_a_full_run_is_read_in_two_seconds(tmp_path):
    """1,319 questions with 64 samples each, by two writers."""
    draw = random.Random(0)
    for first in (0, 1):
        store = Store(tmp_path, IDENTITY)
        for number in range(first, 1319, 2):
            question = f"{number:024d}"
            store.append(
                [
                    Sampled(question, one, 6, tuple(draw.choices(range(50257), k=8)), False)
                    for one in range(64)
                ]
            )
        store.close()
    started = time.process_time()
    store = Store(tmp_path, IDENTITY)
    assert time.process_time() - started < 2
    assert len(store) == 1319 * 64


def throughput_ratios(folder, rounds, questions=48, samples=16):
    """Processor seconds without a store over those with one, a number a round."""
    model = AutoLatentModel.from_pretrained("tiny-coconut")
    tokenizer = load_tokenizer("tiny-coconut")
    settings = model.settings(latent_do_sample_by="noise", num_return_sequences=samples, seed=1)
    texts = [one.question for one in generate(split="validation", count=questions, seed=1)]

    def spent(kept):
        started = time.process_time()
        sample_pools(model, tokenizer, texts, settings, kept=kept)
        return time.process_time() - started

    spent(None)
    found = []
    for number in range(rounds):
        stores = Stores(folder / f"{number}", model, None, keep_thoughts=False)
        kept = stores.of(settings, questions=questions)
        if number % 2:  # in turn, as the machine drifts
            with_store, without = spent(kept), spent(None)
        else:
            without, with_store = spent(None), spent(kept)
        found.append(without / with_store)
    return found


@pytest.mark.slow
@pytest.mark.nightly
def test_with_a_store_a_run_is_as_fast(tmp_path):
    """In processor time, a round with and a round without in turn."""
    ratios = throughput_ratios(tmp_path, rounds=20)
    error = statistics.stdev(ratios) / len(ratios) ** 0.5
    assert statistics.mean(ratios) + 2 * error > 0.98, ratios


@pytest.mark.slow
def test_less_than_two_hundredths_of_the_time_is_the_stores(tmp_path):
    """The clock's seconds within the store, of those of sampling: other programs hold up both."""
    model = AutoLatentModel.from_pretrained("tiny-coconut")
    settings = model.settings(latent_do_sample_by="noise", num_return_sequences=16, seed=1)
    texts = [one.question for one in generate(split="validation", count=48, seed=1)]
    stores = Stores(tmp_path, model, None, keep_thoughts=False)
    kept, spent = stores.of(settings, questions=48), []

    class Timed:
        def __getattr__(self, name):
            def call(*arguments):
                started = time.perf_counter()
                found = getattr(kept, name)(*arguments)
                spent.append(time.perf_counter() - started)
                return found

            return call

    started = time.perf_counter()
    sample_pools(model, load_tokenizer("tiny-coconut"), texts, settings, kept=Timed())
    whole = time.perf_counter() - started
    assert len(spent) >= 2 * 48  # and once a second
    assert sum(spent) < 0.02 * whole, (sum(spent), whole)

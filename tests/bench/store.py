"""What a store costs: `python -m tests.bench.store [--gpt2] [--thoughts]`.

Each pair samples the same questions with a store and without one, in turn which comes first, and
takes the ratio of throughputs: by the processor's seconds, which other programs change little, and
by the clock's. `--gpt2` is GPT-2 small's size with random weights, the usual case; tiny-coconut,
at several hundred samples a second, is the hardest that ships.
"""

import statistics
import tempfile
import time
from pathlib import Path

import click
from scipy.stats import t
from torch import device

from latent_tts.harness.bench.work import load, prompts, settings
from latent_tts.harness.pools import Reader
from latent_tts.harness.sample import answer
from latent_tts.harness.stores import Stores
from latent_tts.models import AutoLatentModel, load_tokenizer
from latent_tts.tasks.arith import generate


def spent(reader, asked):
    """Return processor and clock seconds of sampling, the store's last write with it."""
    began = time.process_time(), time.perf_counter()
    done = list(answer(reader, asked))
    if reader.kept is not None:
        reader.kept.store.close()
    assert len(done) == len(asked)
    return time.process_time() - began[0], time.perf_counter() - began[1]


def told(ratios):
    """Return the median, and the mean with its 95% interval (Student's t over pairs)."""
    mean = statistics.fmean(ratios)
    half = t.ppf(0.975, len(ratios) - 1) * statistics.stdev(ratios) / len(ratios) ** 0.5
    median = statistics.median(ratios)
    return f"median {median:.3f}, mean {mean:.3f} ({mean - half:.3f} to {mean + half:.3f})"


@click.command()
@click.option("--pairs", default=12, show_default=True)
@click.option("--gpt2", is_flag=True)
@click.option("--thoughts", is_flag=True, help="Keep them too, as store_thoughts=true.")
@click.option("--questions", default=24, show_default=True)
@click.option("--samples", default=16, show_default=True)
def main(pairs: int, gpt2: bool, thoughts: bool, questions: int, samples: int) -> None:
    """Print the ratios of throughput, with a store over without, of every pair and of all."""
    tokenizer = load_tokenizer("tiny-coconut")
    if gpt2:
        model = load(None, device("cpu"))
        asked = [prompts(model, tokens=65 - number)[0].tolist() for number in range(questions)]
        given = settings(model, "noise", samples)
    else:
        model = AutoLatentModel.from_pretrained("tiny-coconut")
        texts = [one.question for one in generate(split="validation", count=questions, seed=1)]
        asked = [model.encode_prompt(tokenizer, text) for text in texts]
        given = model.settings(latent_do_sample_by="noise", num_return_sequences=samples, seed=1)
    without, found = Reader(model, tokenizer, given, None, (), None), []
    spent(without, asked[:1])
    with tempfile.TemporaryDirectory() as place:
        for number in range(pairs):
            stores = Stores(Path(place) / f"{number}", model, None, keep_thoughts=thoughts)
            kept = stores.of(given, questions=len(asked))
            readers = [without, Reader(model, tokenizer, given, None, (), kept)]
            order = (0, 1) if number % 2 else (1, 0)
            seconds = {which: spent(readers[which], asked) for which in order}
            found.append([bare / own for bare, own in zip(seconds[0], seconds[1], strict=True)])
            click.echo(f"{number}: processor {found[-1][0]:.3f}, clock {found[-1][1]:.3f}")
    for name, ratios in zip(("processor", "clock"), zip(*found, strict=True), strict=True):
        click.echo(f"{name}: {told(ratios)}, n = {pairs}")


if __name__ == "__main__":
    main()

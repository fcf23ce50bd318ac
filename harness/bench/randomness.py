"""What addressed masks and noise add to the same passes without them."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from ...models import LatentSettings
from .measures import Run, Spread, interleaved
from .setup import Setup
from .work import SAMPLERS, Work


def compare_randomness(setup: Setup) -> Iterator[dict[str, Any]]:
    """Measure each N with each sampler on, and off, on the same rows.

    An answer is one token, so that nearly all passes are thoughts'. Dropout over prompts makes N
    samples read N prompts, so there both sides are given as many different prompts, one sample
    each.

    Yields:
        A row for each setting; `added_share` is the time with the sampler over that without, less
        one.
    """
    for count in setup.counts:
        ways: dict[str, Run] = {}
        for sampler in setup.samplers:
            sampled = _run(setup, sampler, count, on=True)
            ways |= {f"{sampler} on": sampled, f"{sampler} off": _run(setup, sampler, count)}
        interleaved(setup.device, ways, rounds=1)  # warm up
        taken = interleaved(setup.device, ways, rounds=setup.rounds)
        for sampler in setup.samplers:
            on, off = taken[f"{sampler} on"], taken[f"{sampler} off"]
            added = [with_it / without - 1 for with_it, without in zip(on, off, strict=True)]
            kind, scope = SAMPLERS[sampler]
            yield {
                "sampler": kind,
                "scope": scope,
                "num_return_sequences": count,
                **Spread.of(on).fields("sampled_s"),
                **Spread.of(off).fields("deterministic_s"),
                **Spread.of(added).fields("added_share"),
            }


def _run(setup: Setup, sampler: str, count: int, *, on: bool = False) -> Run:
    work, rows = same_rows(setup.work, sampler, count)
    work = replace(work, answer_tokens=1)
    input_ids = work.prompts().to(setup.device)
    settings: LatentSettings = work.settings(setup.model, sampler, rows)
    settings = replace(settings, latent_do_sample=on)
    return lambda: setup.model.generate(input_ids, **vars(settings))


def same_rows(work: Work, sampler: str, count: int) -> tuple[Work, int]:
    """Return work and N whose rows are read alike whether the sampler is on or off."""
    if SAMPLERS[sampler] == ("dropout", "prompt_and_thoughts"):
        return replace(work, questions=work.questions * count), 1
    return work, count

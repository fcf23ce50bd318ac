"""The default benchmark: every sampler and N, against two ways without the engine and the bound."""

from collections.abc import Iterator
from typing import Any

from .measures import Peak, Run, Spread, matrix_rate, peak_memory, seconds, weight_bytes
from .setup import Setup
from .ways import explicit, straightforward
from .work import SAMPLERS, needed

Place = tuple[str, str]  # a way, and its sampler or, where texts are written, ""


def compare_samplers(setup: Setup) -> Iterator[dict[str, Any]]:
    """Measure each N with each sampler.

    Every way runs once for its memory and to warm up, then once a round, in turn. Every figure but
    memory is the median of the rounds, and stands with its range, as `_low` and `_high`; ratios and
    shares are taken within a round.

    Yields:
        A row for each setting:

        samples_per_s, token_forwards_per_s: of the engine.
        ratio_to_straightforward: of samples per second, see `ways.straightforward`.
        ratio_to_explicit: to texts of `reasoning_tokens` and an answer.
        ratio_to_generate: to texts of as many tokens as thoughts, end marker and answer are.
        share_of_bound: operations that must be done (`work.needed`) per second, over the rate of
            matrix products.
        matrix_operations_per_s: that rate.
        peak_bytes: held at most while the engine ran, beyond what was held before.
        peak_beyond_weights_bytes: held at most while the engine ran, beyond the weights' own size:
            with Python, torch and whatever the engine keeps from call to call.
        straightforward_peak_bytes, straightforward_peak_beyond_weights_bytes: the same of it.
    """
    for sampler in setup.samplers:  # so that no way pays for what is done once a process
        for run in _ways(setup, sampler, 1).values():
            run()
    for count in setup.counts:
        ways: dict[Place, Run] = {}
        for sampler in setup.samplers:
            ways |= _ways(setup, sampler, count)
        peaks = {place: peak_memory(setup.device, run) for place, run in ways.items()}
        taken: dict[Place, list[float]] = {place: [] for place in ways}
        rates: dict[str, list[float]] = {sampler: [] for sampler in setup.samplers}
        for _ in range(setup.rounds):
            for (name, sampler), run in ways.items():
                if name == "engine":
                    rates[sampler].append(matrix_rate(setup.device, setup.dtype))
                taken[name, sampler].append(seconds(setup.device, run))
        for sampler in setup.samplers:
            speeds = _speeds(setup, sampler, count, taken, rates[sampler])
            yield speeds | _memory(setup, sampler, peaks)


def _ways(setup: Setup, sampler: str, count: int) -> dict[Place, Run]:
    model, input_ids, work = setup.model, setup.input_ids, setup.work
    settings = work.settings(model, sampler, count)
    return {
        ("engine", sampler): lambda: model.generate(input_ids, **vars(settings)),
        ("straightforward", sampler): lambda: straightforward(model, input_ids, settings),
        ("generate", ""): lambda: explicit(model, input_ids, count=count, tokens=work.new_tokens),
        ("explicit", ""): lambda: explicit(model, input_ids, count=count, tokens=work.text_tokens),
    }


def _speeds(
    setup: Setup,
    sampler: str,
    count: int,
    taken: dict[Place, list[float]],
    rates: list[float],
) -> dict[str, Any]:
    forwards, operations = needed(setup.model, setup.work, sampler, count)
    samples = setup.work.questions * count
    engine = taken["engine", sampler]
    others = {
        "straightforward": taken["straightforward", sampler],
        "explicit": taken["explicit", ""],
        "generate": taken["generate", ""],
    }
    kind, scope = SAMPLERS[sampler]
    spreads = {
        "samples_per_s": Spread.of([samples / own for own in engine]),
        "token_forwards_per_s": Spread.of([forwards / own for own in engine]),
        **{f"ratio_to_{name}": Spread.of_ratios(other, engine) for name, other in others.items()},
        "share_of_bound": Spread.of_ratios([operations / rate for rate in rates], engine),
        "matrix_operations_per_s": Spread.of(rates),
    }
    row: dict[str, Any] = {"sampler": kind, "scope": scope, "num_return_sequences": count}
    for name, spread in spreads.items():
        row |= spread.fields(name)
    return row


def _memory(setup: Setup, sampler: str, peaks: dict[Place, Peak]) -> dict[str, Any]:
    row = {}
    for way, prefix in (("engine", ""), ("straightforward", "straightforward_")):
        peak = peaks[way, sampler]
        row[f"{prefix}peak_bytes"] = peak.most - peak.before
        row[f"{prefix}peak_beyond_weights_bytes"] = peak.most - weight_bytes(setup.model)
    return row


def memory_growth(rows: list[dict[str, Any]]) -> list[str]:
    """Return a sentence for each sampler: its peak at the largest N over that at the next smaller.

    Args:
        rows: of `compare_samplers`.
    """
    sentences = []
    for sampler in dict.fromkeys((row["sampler"], row["scope"]) for row in rows):
        own = {
            row["num_return_sequences"]: row
            for row in rows
            if (row["sampler"], row["scope"]) == sampler
        }
        if len(own) < 2:
            continue
        few, many = sorted(own)[-2:]
        beyond = [own[count]["peak_beyond_weights_bytes"] for count in (few, many)]
        during = [max(1, own[count]["peak_bytes"]) for count in (few, many)]
        sentences.append(
            f"{sampler[0]} over {sampler[1].replace('_', ' ')}: memory at N = {many} is "
            f"{beyond[1] / beyond[0]:.2f} times that at N = {few} beyond the weights, and "
            f"{during[1] / during[0]:.2f} times beyond what was held before."
        )
    return sentences

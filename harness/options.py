"""lm-eval's generation settings, translated into this project's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from ..models import EngineOptions, LatentSettings, ModelError
from ..models.settings import check_names
from ..reward.checks import check_thinks
from ..tasks import MAX_CANDIDATES, find_strategy
from .stopping import STOP_NAMES, Stop, check_stop, read_stop

# Settings that lm-eval's tasks carry for other models. They mean nothing while answers are greedy;
# of those of sampling, the first two are ours too.
_NUCLEUS = ("top_p", "top_k")
_SAMPLING_ONLY = ("min_p", "typical_p", "repetition_penalty")
_OURS = (
    "until",
    "return_pool",
    "min_candidates",
    "aggregation",
    "judge",
    *STOP_NAMES,
    "max_gen_toks",
    "max_tokens",
    *_NUCLEUS,
    *_SAMPLING_ONLY,
)


@dataclass(frozen=True, kw_only=True)
class RequestOptions:
    """How one request is to be answered.

    Attributes:
        settings: for the engine.
        until: texts that end an answer.
        return_pool: whether the response is the pool as JSON rather than the aggregated text.
        aggregation: name of the strategy by which the candidates become one text.
        stop: when a question has samples enough; None for all N.
    """

    settings: LatentSettings
    until: tuple[str, ...] = ()
    return_pool: bool = False
    aggregation: str = "voting"
    stop: Stop | None = None

    def record(self) -> dict[str, object]:
        """Return all that determines which samples there are, as users type it."""
        return self.settings.record() | ({} if self.stop is None else self.stop.record())


def read_options(
    model: Any,
    model_args: Mapping[str, Any],
    gen_kwargs: Mapping[str, Any],
    *,
    aggregation: str | None = None,
    scored: bool = False,
) -> RequestOptions:
    """Resolve one request's generation settings.

    Args:
        model: the backbone.
        model_args: settings given with the model.
        gen_kwargs: the task's generation_kwargs with --gen_kwargs over them; they win.
        aggregation: the model's own choice.
        scored: whether there is a reward model.

    Returns:
        The resolved options.

    Raises:
        ModelError: an unknown name, a value out of its range, or what only a reward model makes
            possible where there is none.
        RewardError: a reward model where there are no thoughts.
        TaskError: an unknown aggregation.
    """
    given = {name: value for name, value in gen_kwargs.items() if value is not None}
    for name in given.keys() & {field.name for field in fields(EngineOptions)}:
        raise ModelError(
            f"{name} says how samples are computed, not which: it belongs in --model_args, not in "
            "--gen_kwargs."
        )
    check_names(given, also=_OURS)
    own = {name: given.pop(name) for name in _OURS if name in given}
    samples = bool(given.get("do_sample", model_args.get("do_sample", False)))
    unused = [name for name in _SAMPLING_ONLY if own.get(name) not in (None, 1, 1.0, 0)]
    if samples and unused:
        raise ModelError(
            f"{unused[0]}={own[unused[0]]!r} with do_sample=true: answers are sampled with "
            "temperature, top_p and top_k alone. Leave it out."
        )
    if samples:
        given |= {name: own[name] for name in _NUCLEUS if name in own}
    asked = {name: value for name, value in model_args.items() if name in STOP_NAMES}
    asked |= {name: own[name] for name in STOP_NAMES if name in own}
    stop = read_stop(asked, judge=str(own.get("judge", "number")))
    merged = _merge(given, {k: v for k, v in model_args.items() if k not in STOP_NAMES})
    limit = own.get("max_gen_toks", own.get("max_tokens"))
    if limit is not None and "max_new_tokens" not in given:
        # lm-eval counts answer tokens only; thoughts and the end marker come on top.
        if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
            raise ModelError(f"max_gen_toks={limit!r}; allowed is a whole number of at least 1.")
        thoughts = model.settings(**(merged | {"max_new_tokens": 1 << 30})).thought_limit
        marker = len(model.latent_tokens.ending)
        merged["max_new_tokens"] = thoughts + marker + limit
    settings = model.settings(**merged)
    if scored:
        check_thinks(model, settings)
    if own.get("return_pool"):
        _check_count(settings.num_return_sequences, least=own.get("min_candidates", 1))
    how = _aggregation(own.get("aggregation", aggregation), settings, scored=scored)
    check_stop(stop, settings, how)
    return RequestOptions(
        settings=settings,
        until=_texts(own.get("until")),
        return_pool=bool(own.get("return_pool", False)),
        aggregation=how,
        stop=stop,
    )


def _aggregation(chosen: str | None, settings: LatentSettings, *, scored: bool) -> str:
    how = chosen or ("voting" if settings.beams is None else "beam_search")
    strategy = find_strategy(how)
    if not scored and (strategy.needs or settings.beams):
        asked = f"num_beams={settings.num_beams}" if settings.beams else f"aggregation={how}"
        raise ModelError(
            f"{asked} needs a reward model. Give reward_model= in --model_args, such as "
            "reward_model=tiny-coconut-rm for tiny-coconut."
        )
    if "beams" in strategy.needs and settings.beams is None:
        raise ModelError(
            f"aggregation={how} needs num_beams and num_beam_candidates in --model_args or "
            "--gen_kwargs."
        )
    return strategy.name


def _check_count(count: int, *, least: int) -> None:
    """Refuse a pool that its task could not judge, before it is sampled."""
    if not least <= count <= MAX_CANDIDATES:
        raise ModelError(
            f"num_return_sequences={count}; the task needs at least {least} candidates for its "
            f"largest k and can judge at most {MAX_CANDIDATES}. Change num_return_sequences, or ks "
            "in --metadata."
        )


def _merge(winner: Mapping[str, Any], loser: Mapping[str, Any]) -> dict[str, Any]:
    """Merge settings; the winner's choice of a length settles both ways to give one."""
    lengths = {"latent_length", "max_latent_length"}
    dropped = lengths if winner.keys() & lengths else set()
    return {name: value for name, value in loser.items() if name not in dropped} | dict(winner)


def _texts(until: Any) -> tuple[str, ...]:
    if until is None:
        return ()
    if isinstance(until, str):
        return (until,)
    if isinstance(until, Sequence) and all(isinstance(text, str) for text in until):
        return tuple(until)
    raise ModelError(f"until={until!r}; allowed is a text or a list of texts.")

"""Responses to questions: from the cache, by samples, or wrong for a prompt that is too long."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import msgspec
from tqdm import tqdm

from ..models import LatentSettings
from ..tasks import Candidate, Pool, find_strategy
from .cache import ResponseCache
from .lengths import long_prompts, refuse_long_prompts
from .lm_eval_seam import logger
from .loaded import Loaded
from .options import RequestOptions
from .quality import Quality
from .requests import AskedQuestion
from .shared import Busy, Group, lead
from .team import Shift

Asked = tuple[AskedQuestion, RequestOptions]


@dataclass
class Report:
    """What was done for some questions.

    Attributes:
        responses: `repeats` texts for each question, by its index.
        drawn: samples that were drawn, not found in the cache.
        busy: seconds of work of each process that shared them.
        long: questions of each task that were not sampled because they are too long.
    """

    responses: dict[int, list[str]] = field(default_factory=dict)
    drawn: int = 0
    busy: list[float] = field(default_factory=list)
    long: Counter[str] = field(default_factory=Counter)


def respond(
    loaded: Loaded,
    asked: Sequence[Asked],
    *,
    cache: ResponseCache | None,
    hidden: bool,
    shift: Shift,
) -> Report:
    """Answer questions, with the help of other processes.

    Args:
        loaded: what samples are made with.
        asked: each question with its options.
        cache: where responses are kept, if anywhere.
        hidden: show no progress and say nothing of what is run.
        shift: of the processes that share the work; this is the first.

    Raises:
        ModelError: prompts that are too long, unless they are to be skipped.
    """
    report, quality = Report(), Quality()
    encode, tokenizer = loaded.model.encode_prompt, loaded.tokenizer
    prompts = [encode(tokenizer, question.prompt) for question, _ in asked]
    long = _find_long(loaded, asked, prompts)
    groups: dict[tuple[RequestOptions, int], list[int]] = {}
    for index, (question, options) in enumerate(asked):
        found = None if cache is None else cache.get(question.arguments)
        if index in long:
            report.long[question.task] += 1
            wrong = _wrong(options, scored=loaded.reward_model is not None)
            report.responses[index] = [_response(wrong, options, question)] * question.repeats
        elif found is not None:
            pool = Pool.from_json(found) if options.return_pool else None
            report.responses[index] = [
                found if pool is None else _response(pool, options, question)
            ]
            quality.note(question.task, pool)
        else:
            groups.setdefault((options, question.repeats), []).append(index)
    if not hidden:
        _announce(loaded, asked, waiting=sum(map(len, groups.values())), long=report.long)
    with tqdm(total=len(asked), desc="Sampling", unit="question", disable=hidden) as bar:
        bar.update(len(report.responses))
        waiting = [_group(prompts, *group) for group in groups.items()]
        for done in lead(loaded, shift, waiting):
            if isinstance(done, Busy):
                report.busy.append(done.seconds)
                continue
            question, options = asked[done.index]
            report.responses[done.index] = _texts(done.pool, options, question)
            report.drawn += done.drawn
            if cache is not None:  # at once, so that a run that is killed loses nothing
                cache.put(question.arguments, report.responses[done.index][0])
            quality.note(question.task, done.pool)
            bar.update()
    if not hidden:
        quality.warn(loaded.model.format_prompt("{question}"))
    return report


def _group(
    prompts: Sequence[Sequence[int]], key: tuple[RequestOptions, int], indices: Sequence[int]
) -> Group:
    """Return questions that share options: sampled once, with `repeats` times more candidates."""
    options, repeats = key
    count = options.settings.num_return_sequences * repeats
    settings = replace(options.settings, num_return_sequences=count)
    own = {index: prompts[index] for index in indices}
    return Group(settings, options.until, own, options.stop)


def _texts(pool: Pool, options: RequestOptions, question: AskedQuestion) -> list[str]:
    """Return one response for each repeat, of its own part of the candidates."""
    count = options.settings.num_return_sequences
    starts = range(0, count * question.repeats, count)
    parts = (
        Pool(pool.candidates[start : start + count], pool.beams, stop=pool.stop) for start in starts
    )
    return [_response(part, options, question) for part in parts]


def _response(pool: Pool, options: RequestOptions, question: AskedQuestion) -> str:
    if options.return_pool:
        return msgspec.structs.replace(pool, question=question.id).to_json()
    chosen = find_strategy(options.aggregation).pick(pool)
    # Where no answer could be read the task may still find one in the text.
    return (pool.candidates[0] if chosen is None else chosen).text


def _wrong(options: RequestOptions, *, scored: bool) -> Pool:
    """Return a pool without any answer, as large as the others."""
    settings, stop = options.settings, options.stop
    empty = Candidate.of_answer(None, reward=float("nan") if scored else None)
    beams = (empty,) * settings.beams[0] if settings.beams else ()
    if stop is not None:
        count = settings.num_return_sequences
        return stop.mark(Pool((empty,) * min(stop.rule.least, count)), most=count)
    return Pool((empty,) * settings.num_return_sequences, beams)


def _find_long(
    loaded: Loaded, asked: Sequence[Asked], prompts: Sequence[Sequence[int]]
) -> frozenset[int]:
    """Return the indices of the questions that are to be skipped; refuse them if none is to be."""
    by_settings: dict[LatentSettings, list[int]] = {}
    for index, (_, options) in enumerate(asked):
        by_settings.setdefault(options.settings, []).append(index)
    found: set[int] = set()
    for settings, members in by_settings.items():
        own = [prompts[index] for index in members]
        long = long_prompts(loaded.model, own, settings, reward_model=loaded.reward_model)
        found |= {members[number] for number in long}
        if loaded.arguments.on_long_prompt == "skip":
            continue
        questions = [(asked[members[number]][0], length) for number, length in long.items()]
        refuse_long_prompts(
            loaded.model,
            settings,
            [(f"question {one.id!r} of {one.task}", length) for one, length in questions],
            reward_model=loaded.reward_model,
            instead="Count them as wrong with on_long_prompt=skip in --model_args",
        )
    return frozenset(found)


def _announce(loaded: Loaded, asked: Sequence[Asked], *, waiting: int, long: Counter[str]) -> None:
    """Say in one line what is run, and of which questions nothing is sampled."""
    for settings in dict.fromkeys(options.settings for _, options in asked):
        logger.info("%s", loaded.describe(settings))
    cached = len(asked) - waiting - long.total()
    if cached:
        logger.info("%d of %d questions are in the cache.", cached, len(asked))
    for task, count in long.items():
        logger.warning(
            "%s: %d of %d prompts are too long and count as wrong (on_long_prompt=skip).",
            task,
            count,
            sum(question.task == task for question, _ in asked),
        )

"""Sampling that stops where a question's vote is settled: `stop=` in --model_args or --gen_kwargs.

What is drawn is exactly what a replay of the rule on a full pool spends: samples are looked at in
order, and no more are drawn together than the rule needs before it can be settled. A round draws
for all open questions, so the rows of a settled one go to the others.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..models import LatentBackbone, LatentSettings, ModelError, sample
from ..tasks import Pool
from ..tasks.pools.pool import Stopped
from ..tasks.stopping import StoppingRule, make_rule, next_look
from ..tasks.stopping.priors import prior_digest
from .kept import Finished, Kept

PARAMETERS = {"stop_threshold": "threshold", "stop_criterion": "criterion"}
PARAMETERS |= {"stop_window": "window", "stop_prior": "prior"}
STOP_NAMES = ("stop", *PARAMETERS)


@dataclass(frozen=True)
class Stop:
    """How early the sampling of a question ends.

    Attributes:
        rule: tells when a vote is settled.
        judge: the name of the judge that says which answers vote together.
    """

    rule: StoppingRule
    judge: str = "number"

    def record(self) -> dict[str, object]:
        """Return what records of settings say of it."""
        prior = getattr(self.rule, "prior", None)
        digest = {} if prior is None else {"stop_prior_digest": prior_digest(Path(prior))}
        return {"stop": str(self.rule), **digest}

    def mark(self, pool: Pool, *, most: int) -> Pool:
        """Return a question's samples as a pool that says that it was stopped."""
        told = Stopped(rule=str(self.rule), most=most, least=min(most, self.rule.least))
        return Pool(pool.candidates, question=pool.question, judge=pool.judge, stop=told)


def read_stop(given: Mapping[str, object], *, judge: str) -> Stop | None:
    """Return what `stop=` and its parameters ask for.

    Args:
        given: settings of generation, of which those in `STOP_NAMES` are read.
        judge: the name of the task's judge.

    Raises:
        ModelError: a parameter without `stop=`, or a rule that needs rewards.
        TaskError: no rule of that name, or a parameter that it does not have or allow.
    """
    name = given.get("stop")
    own = {PARAMETERS[key]: given[key] for key in PARAMETERS if given.get(key) is not None}
    if name in (None, "none"):
        if own:
            raise ModelError(
                f"stop_{next(iter(own))} without stop=; give stop=adaptive_consistency, esc or "
                "bayes too, or leave it out."
            )
        return None
    rule = make_rule(str(name), own)
    if rule.needs:
        raise ModelError(
            f"stop={name} needs {' and '.join(sorted(rule.needs))}, which are known when sampling "
            "is over. Replay it on a finished run (latent-tts adaptive RUN), or choose another."
        )
    return Stop(rule, judge)


def check_stop(stop: Stop | None, settings: LatentSettings, aggregation: str) -> None:
    """Raise ModelError for what presupposes all N samples."""
    if stop is None:
        return
    if settings.beams:
        raise ModelError(
            f"stop={stop.rule.name} with num_beams={settings.num_beams}: a beam search spends N "
            "samples whatever they say. Leave out one of them."
        )
    if aggregation != "voting":
        raise ModelError(
            f"stop={stop.rule.name} with aggregation={aggregation}: sampling stops where the vote "
            "is settled, so the answer is the vote. Leave out one of them."
        )


@dataclass
class Open:
    """A question that is sampled.

    Attributes:
        index: of the question.
        prompt: its token ids.
        there: finished samples by their indices, those of the store among them.
        look: samples that are to be there when it is looked at again; None where it is settled.
        count: samples that counted when it was settled.
        drawn: samples that were not in the store.
    """

    index: int
    prompt: Sequence[int]
    there: dict[int, Finished]
    look: int | None
    count: int = 0
    drawn: int = 0

    @property
    def missing(self) -> tuple[int, ...]:
        """Indices of the samples that are lacking before the next look."""
        return tuple(one for one in range(self.look or 0) if one not in self.there)

    @property
    def first(self) -> list[Finished]:
        """The samples that count."""
        return [self.there[sample] for sample in range(self.count)]


def stopped_samples(
    model: LatentBackbone,
    prompts: Sequence[Sequence[int]],
    order: Sequence[int],
    settings: LatentSettings,
    stop: Stop,
    *,
    read: Callable[[Sequence[Finished]], Pool],
    batch_size: int | None,
    kept: Kept | None,
) -> Iterator[Open]:
    """Yield each question as soon as it is settled, with its first samples.

    Args:
        model: a backbone.
        prompts: token ids of each question.
        order: the questions' indices, in the order in which they begin.
        settings: of the samples; N is the most that a question may spend.
        stop: when a question is settled.
        read: makes a pool of finished samples.
        batch_size: most questions in the batch.
        kept: where finished samples are taken from and added to.
    """
    most = settings.num_return_sequences
    open_ones = []
    for index in order:
        found = () if kept is None else kept.find(prompts[index], most)
        there = {one.sample: one for one in found}
        open_ones.append(Open(index, prompts[index], there, next_look(stop.rule, None, most=most)))
    while open_ones:
        lacking: dict[tuple[int, ...], list[Open]] = {}
        for one in open_ones:
            _look(one, stop, most=most, read=read)
            if one.look is None:
                yield one
            else:
                lacking.setdefault(one.missing, []).append(one)
        for missing, members in lacking.items():
            _draw(model, members, missing, settings, batch_size=batch_size, kept=kept)
        open_ones = [one for members in lacking.values() for one in members]


def _look(one: Open, stop: Stop, *, most: int, read: Callable[[Sequence[Finished]], Pool]) -> None:
    """Look at a question after every number of samples at which it may be settled."""
    while one.look is not None and not one.missing:
        one.count = one.look
        one.look = next_look(stop.rule, read(one.first).judged_by(stop.judge), most=most)


def _draw(
    model: LatentBackbone,
    members: Sequence[Open],
    missing: Sequence[int],
    settings: LatentSettings,
    *,
    batch_size: int | None,
    kept: Kept | None,
) -> None:
    """Draw the same samples of several questions."""
    drawn: list[list[Finished]] = [[] for _ in members]
    for trajectory in sample(
        model,
        [one.prompt for one in members],
        settings.without_beams(),
        samples=missing,
        batch_size=batch_size,
    ):
        one, new = members[trajectory.question], drawn[trajectory.question]
        new.append(Finished.of(trajectory))
        if len(new) == len(missing):
            if kept is not None:
                kept.keep(one.prompt, new)
            one.there |= {finished.sample: finished for finished in new}
            one.drawn += len(new)

"""Sampling that stops where a question's vote is settled: `stop=` in --model_args or --gen_kwargs.

What is drawn is exactly what a replay of the rule on a full pool spends; `settling.py` has how.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..models import LatentSettings, ModelError
from ..tasks import Pool
from ..tasks.pools.pool import Stopped
from ..tasks.stopping import StoppingRule, make_rule
from ..tasks.stopping.priors import prior_digest

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

"""`latent-tts reward-table`: what reward models gain over the vote, on identical pools."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click
import pandas as pd
from tqdm import tqdm

from ..models import AutoLatentModel, LatentSettings, load_tokenizer
from ..results.reports.rewards import rewards_table
from ..results.statistics import paired_difference
from ..reward import LatentRewardModel, RewardError
from ..reward.auto import check_pair
from ..tasks import Pool, Question, pool_metrics, sources
from ..tasks.arith import Split
from .annotate import arith_questions, sampling_options
from .sample import sample_pools

TASKS = {"latent_tts_arith": sources.arith, "latent_tts_arith_hard": sources.arith_hard}
VALIDATION_SEED = 2  # neither the backbone nor a reward model was selected on these problems


@click.command("reward-table")
@click.option("--pretrained", default="tiny-coconut", show_default=True, help="Backbone.")
@click.option(
    "--reward-model",
    "reward_models",
    multiple=True,
    required=True,
    help="NAME=PATH, or a PATH that is its own name; repeatable.",
)
@click.option("--output", required=True, type=click.Path(path_type=Path), help="CSV to write.")
@click.option(
    "--task",
    "tasks",
    multiple=True,
    default=list(TASKS),
    show_default=True,
    type=click.Choice(list(TASKS)),
)
@click.option(
    "--split",
    default="test",
    show_default=True,
    type=click.Choice(["test", "validation"]),
    help="Validation is for choosing samplers: 500 problems a task that are no test problems.",
)
@click.option(
    "--budget",
    "budgets",
    multiple=True,
    default=[4, 16, 64],
    show_default=True,
    type=click.IntRange(1),
    help="N; a square, for beam search takes its root of beams and of candidates.",
)
@click.option("--seed", default=1234, show_default=True, help="Of the samples.")
@click.option("--limit", type=click.IntRange(2), help="Questions a task; all if not given.")
@sampling_options
def reward_table(
    pretrained: str,
    reward_models: Sequence[str],
    output: Path,
    tasks: Sequence[str],
    split: Any,
    budgets: Sequence[int],
    seed: int,
    limit: int | None,
    **sampling: Any,
) -> None:
    """Compare best-of-N, weighted vote and beam search with the vote, question by question.

    All strategies choose from the same pool of the largest N, by unbiased estimates for the smaller
    ones; beam search spends as much, on root-N beams of root-N candidates. Intervals are of the
    paired difference to the vote: 95%, bootstrap over questions.
    """
    sizes = sorted(set(budgets))
    for size in sizes:
        if math.isqrt(size) ** 2 != size:
            raise RewardError(f"--budget {size} is no square, such as 4, 16 or 64.")
    model = AutoLatentModel.from_pretrained(pretrained)
    tokenizer: Any = load_tokenizer(pretrained)
    guides = {}
    for given in reward_models:
        name, _, path = given.rpartition("=")
        name = name or path
        if name in guides:
            raise RewardError(f"--reward-model {name!r} is given twice; name them NAME=PATH apart.")
        guides[name] = LatentRewardModel.from_pretrained(path)
        check_pair(model, guides[name], tokenizer)
    chosen = {name: value for name, value in sampling.items() if value is not None}
    settings = model.settings(
        latent_do_sample=True, num_return_sequences=sizes[-1], seed=seed, **chosen
    )
    rows: list[dict[str, Any]] = []
    output.parent.mkdir(parents=True, exist_ok=True)
    with tqdm(total=len(tasks) * len(guides) * len(sizes), desc="Searches") as bar:
        for task in tasks:
            questions = _questions(task, split)[:limit]
            for name, guide in guides.items():
                draw = _Draw(model, tokenizer, questions, settings, guide, bar)
                rows += _compare(draw, task, name, sizes)
                # Written after every reward model, so that an interrupted run has what it measured.
                pd.DataFrame(rows).to_csv(output, index=False, float_format="%.4f")
    click.echo(rewards_table(pd.read_csv(output)))


def _questions(task: str, split: Split) -> list[Question]:
    if split == "test":
        rows = TASKS[task]()["test"]
        return [Question(id=r["id"], text=r["question"], gold=r["answer"]) for r in rows]
    hard = float(task.endswith("hard"))
    return arith_questions(split, 500, hard_share=hard, seed=VALIDATION_SEED)


class _Draw:
    """Draws judged pools of one task with one reward model."""

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        questions: Sequence[Question],
        settings: LatentSettings,
        guide: Any,
        bar: tqdm,
    ) -> None:
        self._parts = model, tokenizer, [question.text for question in questions]
        self._golds = [question.gold for question in questions]
        self.settings, self._guide, self._bar = settings, guide, bar

    def metrics(self, size: int, ks: Sequence[int]) -> pd.DataFrame:
        """Return the metrics of every question's pool of `size`, a beam search beside it."""
        root = math.isqrt(size)
        settings = replace(
            self.settings,
            num_return_sequences=size,
            num_beams=root,
            num_beam_candidates=root,
        )
        pools: list[Pool] = sample_pools(*self._parts, settings, reward_model=self._guide)
        self._bar.update()
        return pd.DataFrame(
            pool_metrics(pool, gold, ks=ks) for pool, gold in zip(pools, self._golds, strict=True)
        )


def _compare(draw: _Draw, task: str, name: str, sizes: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Yield a row for every strategy and N, with the paired difference to the vote."""
    largest = draw.metrics(sizes[-1], sizes)
    for size in sizes:
        own = largest if size == sizes[-1] else draw.metrics(size, [size])
        vote = largest[f"voting@{size}"]
        values = {
            "voting": vote,
            "coverage": largest[f"pass@{size}"],
            "best_of_n": largest[f"best_of_n@{size}"],
            "weighted_voting": largest[f"weighted_voting@{size}"],
            "beam_search": own["beam_search"],
        }
        for strategy, value in values.items():
            paired = paired_difference(value, vote)
            yield {
                "task": task,
                "N": size,
                "reward_model": name,
                "strategy": strategy,
                "accuracy": value.mean(),
                "stderr": value.sem(),
                "difference": paired.difference,
                "low": paired.low,
                "high": paired.high,
                "questions": len(value),
                "seed": draw.settings.seed,
                "sampler": draw.settings.sampler.name,
                **asdict(draw.settings.sampler),
            }

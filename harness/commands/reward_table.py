"""`latent-tts reward-table`: what reward models gain over the vote, on identical pools."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import click
import pandas as pd
from tqdm import tqdm

from ...models import LatentSettings, Sampler, tokenizer_of
from ...results.reports.rewards import DETERMINISTIC, rewards_table
from ...results.statistics import paired_difference
from ...reward import LatentRewardModel, RewardError
from ...reward.auto import check_pair
from ...tasks import STRATEGIES, Question
from ...tasks.arith import Split
from ..checkpoint import CheckpointOptions
from ..questions import QuestionOptions, arith_questions
from ..sample import sample_pools, sampled_metrics
from ..stores import Stores
from . import HELP
from .options import checkpoint_options, question_options, save_table, thought_options
from .output import Output

ARITH = ("latent_tts_arith", "latent_tts_arith_hard")
VALIDATION_SEED = 2  # neither the backbone nor a reward model was selected on these problems


@click.command("reward-table", context_settings=HELP)
@click.option("--pretrained", default="tiny-coconut", help="Backbone.")
@click.option(
    "--reward-model",
    "reward_models",
    multiple=True,
    required=True,
    help="NAME=PATH, or a PATH that is its own name; repeatable.",
)
@click.option("--output", required=True, type=Output(folder=False), help="CSV to write.")
@question_options
@click.option(
    "--split",
    default="test",
    type=click.Choice(["test", "validation"]),
    help="Validation is for choosing samplers: 500 problems a task that are no test problems.",
)
@click.option(
    "--budget",
    "budgets",
    multiple=True,
    default=[4, 16, 64],
    type=click.IntRange(1),
    help="N; a square, for beam search takes its root of beams and of candidates.",
)
@click.option(
    "--any-reward-model",
    is_flag=True,
    help="Accept reward models that were trained on another backbone.",
)
@click.option("--seed", default=1234, help="Of the samples.")
@click.option("--limit", type=click.IntRange(2), help="Questions a task; all if not given.")
@checkpoint_options
@click.option(
    "--store",
    type=Output(folder=True),
    help="Where samples, rewards and beams are kept; `store` beside the CSV if not given.",
)
@thought_options
def reward_table(
    pretrained: str,
    reward_models: Sequence[str],
    output: Path,
    asked: QuestionOptions,
    split: Any,
    budgets: Sequence[int],
    any_reward_model: bool,
    seed: int,
    limit: int | None,
    store: Path | None,
    checkpoint: CheckpointOptions,
    **sampling: Any,
) -> None:
    """Compare best-of-N, weighted vote and beam search with the vote, question by question.

    So is the deterministic answer, which costs one candidate. All other strategies choose from the
    same pool of the largest N, by unbiased estimates for the smaller ones; beam search spends as
    much, on root-N beams of root-N candidates. Samples are drawn once into a store, and scored and
    judged from there; the same command again, or one with more reward models, goes on. Intervals
    are of the paired difference to the vote: 95%, see `latent-tts compare --help`. Without --task
    and --questions the two tasks that ship are asked.
    """
    sizes = sorted(set(budgets))
    for size in sizes:
        if math.isqrt(size) ** 2 != size:
            raise RewardError(f"--budget {size} is no square, such as 4, 16 or 64.")
    questions = _questions(asked, split)
    model = checkpoint.load(pretrained, latent_length=sampling["latent_length"])
    tokenizer = tokenizer_of(model)
    heads = _heads(reward_models)
    for head in heads.values():
        check_pair(model, head, tokenizer, of_another=any_reward_model)
    chosen = {name: value for name, value in sampling.items() if value is not None}
    settings = model.settings(
        latent_do_sample=True, num_return_sequences=sizes[-1], seed=seed, **chosen
    )
    rows: list[dict[str, Any]] = []
    output.parent.mkdir(parents=True, exist_ok=True)
    root = store or output.parent / "store"
    with tqdm(total=len(questions) * len(heads) * len(sizes), desc="Searches") as bar:
        for task, every in questions.items():
            own = every[:limit]
            steady = _deterministic(model, tokenizer, own, settings)
            _draw(model, tokenizer, own, settings, root)
            for name, head in heads.items():
                scored = Stores(root, model, head, keep_thoughts=True)
                sampled = _Sampled(model, tokenizer, own, settings, head, scored)
                rows += _compare(sampled, steady, sizes, bar, task=task, name=name)
                # Written after every reward model, so that an interrupted run has what it measured.
                save_table(pd.DataFrame(rows), output, float_format="%.8f")
    click.echo(rewards_table(pd.read_csv(output)))


def _heads(given: Sequence[str]) -> dict[str, Any]:
    """Return the reward models by name, each written as NAME=PATH or PATH."""
    heads: dict[str, Any] = {}
    for written in given:
        name, _, path = written.rpartition("=")
        name = name or path
        if name in heads:
            raise RewardError(f"--reward-model {name!r} is given twice; name them NAME=PATH apart.")
        heads[name] = LatentRewardModel.from_pretrained(path)
    return heads


def _questions(asked: QuestionOptions, split: Split) -> dict[str, list[Question]]:
    names = asked.tasks or (() if asked.questions else ARITH)
    if split == "test":
        return replace(asked, tasks=names).load()
    if asked.questions or not set(names) <= set(ARITH):
        raise RewardError(f"--split validation is there for {' and '.join(ARITH)} alone.")
    return {
        name: arith_questions(
            split, 500, hard_share=float(name.endswith("hard")), seed=VALIDATION_SEED
        )
        for name in names
    }


@dataclass(frozen=True)
class _Sampled:
    """One task's questions, and one reward model that scores and searches."""

    model: Any
    tokenizer: Any
    questions: Sequence[Question]
    settings: LatentSettings
    reward_model: Any
    stores: Stores

    def metrics(self, size: int, ks: Sequence[int]) -> pd.DataFrame:
        """Return the metrics of every question's pool of `size`, a beam search beside it."""
        root = math.isqrt(size)
        settings = replace(
            self.settings, num_return_sequences=size, num_beams=root, num_beam_candidates=root
        )
        return sampled_metrics(
            self.model,
            self.tokenizer,
            self.questions,
            settings,
            ks=ks,
            reward_model=self.reward_model,
            kept=self.stores.of(settings, questions=len(self.questions)),
        )


def _draw(
    model: Any, tokenizer: Any, questions: Sequence[Question], settings: LatentSettings, root: Path
) -> None:
    """Sample what the store lacks, so that all reward models score the same stored thoughts."""
    stores = Stores(root, model, None, keep_thoughts=True, need_thoughts=True)
    kept = stores.of(settings, questions=len(questions))
    texts = [question.text for question in questions]
    sample_pools(model, tokenizer, texts, settings, kept=kept)


def _deterministic(
    model: Any, tokenizer: Any, questions: Sequence[Question], settings: LatentSettings
) -> pd.Series:
    """Return whether the deterministic answer to each question is right."""
    alone = replace(settings, sampler=Sampler(), do_sample=False, num_return_sequences=1)
    return sampled_metrics(model, tokenizer, questions, alone)["pass@1"]


def _compare(
    sampled: _Sampled, steady: pd.Series, sizes: Sequence[int], bar: tqdm, *, task: str, name: str
) -> Iterator[dict[str, Any]]:
    """Yield a row for every strategy and N, with the paired difference to the vote."""
    largest = sampled.metrics(sizes[-1], sizes)
    bar.update()
    for size in sizes:
        own = largest
        if size != sizes[-1]:
            own = sampled.metrics(size, [size])
            bar.update()
        # Whatever beam search found, it spent this N alone; all others choose from the largest.
        named = {"voting": f"voting@{size}", "coverage": f"pass@{size}"}
        named |= {each.name: each.metric(size) for each in STRATEGIES.values() if each.needs}
        values = {key: (largest if "@" in of else own)[of] for key, of in named.items()}
        values[DETERMINISTIC] = steady
        for strategy, value in values.items():
            paired = paired_difference(value, values["voting"])
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
                "seed": sampled.settings.seed,
                "sampler": sampled.settings.sampler.name,
                **asdict(sampled.settings.sampler),
            }

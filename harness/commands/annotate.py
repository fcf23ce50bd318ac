"""`latent-tts annotate`: what each thought of sampled trajectories is worth, by rollouts."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import pandas as pd
from tqdm import tqdm

from ...models import LatentSettings, tokenizer_of
from ...models.identity import checkpoint_digest
from ...results.reports.table import plus_minus
from ...reward.checks import check_thinks
from ...reward.labels import LabelledQuestion, label_questions
from ...reward.shard_index import ShardIndex, questions_digest
from ...reward.shards import Shards
from ...tasks import Question, find_judge, voting_at_k
from ..checkpoint import CheckpointOptions
from ..lengths import long_prompts, refuse_long_prompts
from ..processes import process_state
from ..questions import QuestionOptions
from ..stores import LINE_BYTES, NUMBER_BYTES
from ..team import Team
from . import HELP
from .options import checkpoint_options, question_options, thought_options
from .output import Output

_LABEL = 20  # bytes of a thought's label


@click.command(context_settings=HELP)
@click.option("--pretrained", default="tiny-coconut", help="Backbone.")
@click.option("--output", required=True, type=Output(folder=True), help="Folder of shards.")
@question_options
@click.option(
    "--problems",
    default=2000,
    type=click.IntRange(1),
    help="Generated word problems, unless other questions are given.",
)
@click.option(
    "--split",
    default="train",
    type=click.Choice(["train", "validation"]),
    help="Of the problems; those to measure on are others than those to train on.",
)
@click.option(
    "--hard-share",
    default=0.1,
    type=click.FloatRange(0, 1),
    help="Share of the problems with larger numbers.",
)
@click.option(
    "--problem-seed",
    default=1,
    help="Of the problems; the shipped backbone has learned those of 0.",
)
@click.option("--trajectories", default=8, type=click.IntRange(1), help="N.")
@click.option("--rollouts", default=16, type=click.IntRange(0), help="M.")
@click.option("--seed", default=0, help="Of all samples.")
@click.option(
    "--batch-size",
    default=4,
    type=click.IntRange(1),
    help="Questions labelled together; less where memory is short.",
)
@click.option(
    "--shard-size",
    default=64,
    type=click.IntRange(1),
    help="Questions that a process takes at a time.",
)
@checkpoint_options
@thought_options
def annotate(
    pretrained: str,
    output: Path,
    asked: QuestionOptions,
    problems: int,
    split: Any,
    hard_share: float,
    problem_seed: int,
    trajectories: int,
    rollouts: int,
    seed: int,
    batch_size: int,
    shard_size: int,
    checkpoint: CheckpointOptions,
    **sampling: Any,
) -> None:
    """Label the thoughts of N trajectories a question by M completions from each thought.

    Questions whose trajectories are all right or all wrong teach nothing and are not completed.
    Running the same command again goes on where an interrupted run stopped. Under `accelerate
    launch` or torchrun several processes share the work; the labels are the same. A batch holds
    batch size × N × M rows at a time.
    """
    logging.basicConfig(level=logging.WARNING)
    questions = asked.load_or_generate(
        problems, seed=problem_seed, split=split, hard_share=hard_share
    )
    state = process_state()
    model = checkpoint.load(
        pretrained, latent_length=sampling["latent_length"], device_map=str(state.device)
    )
    given = {name: value for name, value in sampling.items() if value is not None}
    settings = model.settings(
        latent_do_sample=True, num_return_sequences=trajectories, seed=seed, **given
    )
    check_thinks(model, settings)
    tokenizer = tokenizer_of(model)
    prompts = [model.encode_prompt(tokenizer, question.text) for question in questions]
    long = long_prompts(model, prompts, settings)
    refuse_long_prompts(
        model, settings, [(f"question {questions[i].id!r}", tokens) for i, tokens in long.items()]
    )
    index = ShardIndex(
        backbone=model.backbone,
        checkpoint=checkpoint_digest(model),
        settings=settings.record(),
        rollouts=rollouts,
        questions=questions_digest(questions),
        count=len(questions),
        shard_size=shard_size,
    )
    with state.main_process_first():
        shards = Shards.begin(output, index)
    there = {number for number, _ in shards.entries()}
    every = ([n for n in index.questions_of(one) if n not in there] for one in range(index.shards))
    missing = [part for part in every if part]
    thought = _LABEL + NUMBER_BYTES * model.config.get_text_config().hidden_size
    each = LINE_BYTES + trajectories * (LINE_BYTES + thought * settings.thought_limit)
    shards.check_space(sum(map(len, missing)) * each)
    state.wait_for_everyone()  # before any question is added to those that others see
    with _taken(index, missing, Team(state)) as (mine, done):
        for part in mine:
            for start in range(0, len(part), batch_size):
                batch = part[start : start + batch_size]
                entries = label_questions(
                    model,
                    tokenizer,
                    [questions[number] for number in batch],
                    settings,
                    rollouts=rollouts,
                    prompts=[prompts[number] for number in batch],
                )
                shards.write(dict(zip(batch, entries, strict=True)))
                done(len(batch))
    shards.close()
    state.wait_for_everyone()
    if state.is_main_process:
        click.echo(report(shards, settings, questions))


@contextmanager
def _taken(
    index: ShardIndex, missing: Sequence[Sequence[int]], team: Team
) -> Iterator[tuple[Iterator[Sequence[int]], Callable[[int], None]]]:
    """Give the parts that this process labels, one when the last is done, and what counts them.

    The first process has a bar of the questions of all.
    """
    left = sum(map(len, missing))
    with (
        team.begin() as shift,
        tqdm(
            total=index.count,
            initial=index.count - left,
            desc="Annotating",
            unit="question",
            disable=not team.leads,
        ) as bar,
    ):

        def done(count: int) -> None:
            if not team.leads:
                shift.hand_in(count)
                return
            nonlocal left
            for one in (count, *shift.handed_in()):
                left -= one
                bar.update(one)

        yield (missing[turn] for turn in shift.turns("shards", len(missing))), done
        while team.leads and left:
            shift.wait()
            done(0)


def report(shards: Shards, settings: LatentSettings, asked: Sequence[Question]) -> str:
    """Return what the trajectories of all questions achieve, each with its standard error."""
    judges = {(question.id, question.gold): question.judge for question in asked}
    frame = pd.DataFrame(_row(one, judges[one.id, one.gold]) for _, one in shards.entries())
    count = settings.num_return_sequences
    frame = frame.rename(columns={name: f"{name}@{count}" for name in ("coverage", "voting")})
    lines = [f"{len(frame)} of {shards.index.count} questions, N = {count}"]
    errors = frame.sem().fillna(0.0)
    lines += [
        f"{name:>12} {plus_minus(frame[name].mean(), errors[name], in_percent=False)}"
        for name in frame
    ]
    return "\n".join(lines)


def _row(entry: LabelledQuestion, name: str) -> dict[str, float]:
    judge = find_judge(name)
    keys, right = judge.keys(entry.answers), entry.right.tolist()
    good = {key for key, each in zip(keys, right, strict=True) if each and key is not None}
    n = len(keys)
    return {
        "pass@1": sum(right) / n,
        "coverage": float(any(right)),
        "voting": voting_at_k(keys, right=good, ks=[n])[n],
        "all right": float(all(right)),
        "all wrong": float(not any(right)),
        "unparsed": sum(judge.key(answer) is None for answer in entry.answers) / n,
    }

"""`latent-tts score`: rewards of stored thoughts by other reward models, without sampling."""

from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from ...results.rewritten import Judging, rewrite
from ...results.runs import runs_by_task
from ...results.runs.lm_eval_fields import Model
from ..provenance import checkpoint_record
from ..scored import Scorer
from . import HELP
from .output import Output
from .problems import tell


@click.command(context_settings=HELP)
@click.argument("run", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--reward-model", "reward_models", multiple=True, required=True,
    help="NAME=PATH, or a PATH or shipped name that is its own name; repeatable.",
)  # fmt: skip
@click.option(
    "--output", required=True, type=Output(folder=True),
    help="Folder to write to: a run folder in it for each reward model, called as it is.",
)  # fmt: skip
@click.option("--store", type=click.Path(path_type=Path), help="Default: store in RUN.")
@click.option("--pretrained", help="Backbone, where the run's record names one that is not here.")
@click.option("--k", "ks", multiple=True, type=int, help="Sample counts; repeatable.")
@click.option("--any-reward-model", is_flag=True, help="Accept those of another backbone.")
def score(
    run: Path,
    reward_models: Sequence[str],
    output: Path,
    store: Path | None,
    pretrained: str | None,
    ks: Sequence[int],
    any_reward_model: bool,
) -> None:
    """Score the candidates of RUN by other reward models, from the thoughts that its store keeps.

    RUN is the --output_path folder of an lm_eval run with --log_samples that was made with
    store_thoughts=true. Nothing is sampled; what the store lacks is named. Each run that is
    written has the same candidates, so `latent-tts compare` of any two of them is paired.
    """
    by_task, problems = runs_by_task(run)
    tell(problems)
    root = store or (run if run.is_dir() else run.parent) / "store"
    for written in reward_models:
        name, _, path = written.rpartition("=")
        scorer = Scorer(
            next(iter(by_task.values())).config,
            path,
            root,
            pretrained=pretrained,
            of_another=any_reward_model,
        )
        record = checkpoint_record(scorer.reward_model, path, "main")
        known = {key: record.get(key) for key in ("name", "revision", "weights_sha256")}
        made = msgspec.convert(known, Model)
        folder = output / (name or Path(path).name)
        click.echo(rewrite(by_task, folder, Judging(ks), change=scorer.scored, reward_model=made))

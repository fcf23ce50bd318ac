"""`latent-tts train-rm`: a reward model from labelled trajectories."""

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from transformers import set_seed

from ...models import tokenizer_of
from ...models.identity import checkpoint_digest
from ...results.reports.table import plus_minus
from ...reward import LatentRewardModel, RewardError
from ...reward.auto import check_finite
from ...reward.batches import training_questions
from ...reward.losses import LOSSES
from ...reward.training import RewardRecipe, train_reward_model
from ..card import reward_card
from ..checkpoint import CheckpointOptions
from ..processes import process_state
from ..resume import keep_recipe
from ..reward_data import read_reward_data
from . import HELP
from .options import checkpoint_options, field_options
from .output import Output

_CHOICES = {"loss": list(LOSSES), "labels": ["rollouts", "trajectory"]}
_HELP = {
    "learning_rate": "Peak; the cosine falls to zero.",
    "warmup": "Share of the updates.",
    "batch_size": "Questions in an optimizer step.",
    "epochs": "At most.",
    "patience": "Epochs without a better recall@1.",
    "seed": "Of the head and the batches.",
}


@click.command("train-rm", context_settings=HELP)
@click.option(
    "--shards",
    required=True,
    multiple=True,
    type=click.Path(path_type=Path),
    help="Folder that `latent-tts annotate` wrote; repeatable.",
)
@click.option("--output", required=True, type=Output(folder=True), help="Checkpoint folder.")
@click.option("--pretrained", default="tiny-coconut", help="Backbone.")
@click.option(
    "--validation",
    type=click.Path(path_type=Path),
    help="Folder of shards whose pools recall@1 is measured on; a tenth of --shards if not given.",
)
@click.option("--random-head", is_flag=True, help="Ablation: publish the untrained model.")
@click.option("--report-to", default="tensorboard", help="As in transformers.")
@checkpoint_options
@field_options(RewardRecipe, helps=_HELP, choices=_CHOICES)
def train_rm(
    shards: Sequence[Path],
    output: Path,
    pretrained: str,
    validation: Path | None,
    random_head: bool,
    report_to: str,
    checkpoint: CheckpointOptions,
    **choices: Any,
) -> None:
    """Train a reward model on the thoughts that `latent-tts annotate` labelled.

    Training stops when recall@1 on held-out pools (is the trajectory of the highest score right?)
    has not risen for --patience epochs, and publishes the best epoch, in half precision and in the
    released format. Running the same command again goes on where an interrupted run stopped.
    """
    logging.basicConfig(level=logging.WARNING)
    recipe = RewardRecipe(**choices)
    state = process_state()
    backbone = checkpoint.load(pretrained, device_map=str(state.device))
    digest = checkpoint_digest(backbone)
    data = read_reward_data(
        shards, validation, digest=digest, backbone=backbone.backbone, pretrained=pretrained
    )
    questions = training_questions(data.learned, labels=recipe.labels)
    about = {
        "recipe": asdict(recipe),
        "random_head": random_head,
        "backbone": digest,
        **data.about,
        "questions": {
            "read": len(data.learned),
            "mixed": len(questions),
            "held_out": len(data.held_out),
        },
    }
    work = output / "training"
    file = work / "recipe.json"

    def other(differs: str) -> RewardError:
        return RewardError(
            f"{file} was begun with other options or shards than this command's, or while fewer "
            f"shards were there: {differs}. Repeat the command that began it, or choose another "
            "--output."
        )

    with state.main_process_first():
        keep_recipe(file, about, otherwise=other)
    set_seed(recipe.seed)
    tokenizer = tokenizer_of(backbone)
    model, measured = train_reward_model(
        LatentRewardModel.from_backbone(backbone).float(),
        questions,
        data.held_out,
        recipe,
        folder=work,
        pad=backbone.latent_tokens.pad,
        train=not random_head,
        report_to=[report_to],
        disable_tqdm=not state.is_main_process,
    )
    if not state.is_main_process:
        return
    n, recall = len(data.held_out), measured["recall@1"]
    stderr = (recall * (1 - recall) / max(1, n - 1)) ** 0.5
    about["backbone_class"] = type(backbone).__name__
    about["measured"] = measured | {"stderr": stderr}
    check_finite(model.half(), str(output))
    model.save_pretrained(output)
    tokenizer.save_pretrained(output)
    (output / "measured.json").write_text(json.dumps(about, indent=2) + "\n")
    card = reward_card(output.name, pretrained, about, parameters=model.num_parameters())
    (output / "README.md").write_text(card)
    found = plus_minus(recall, stderr, in_percent=False)
    click.echo(
        f"{len(questions)} of {len(data.learned)} questions have right and wrong trajectories. On "
        f"{n} held-out pools recall@1 is {found}, between pass@1 "
        f"{measured['pass@1']:.4f} and coverage {measured['coverage']:.4f}."
    )

"""`latent-tts train-rm`: a reward model from labelled trajectories."""

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from transformers import set_seed

from ..models import AutoLatentModel, load_tokenizer
from ..models.identity import checkpoint_digest
from ..models.samplers.randomness import question_key
from ..reward import LatentRewardModel, RewardError
from ..reward.auto import check_finite
from ..reward.batches import training_questions
from ..reward.labels import LabelledQuestion
from ..reward.losses import LOSSES
from ..reward.shard_index import ShardIndex
from ..reward.shards import Shards
from ..reward.training import RewardRecipe, train_reward_model
from .card import reward_card
from .processes import process_state

logger = logging.getLogger(__name__)

_HELP = {
    "learning_rate": "Peak; the cosine falls to zero.",
    "warmup": "Share of the updates.",
    "batch_size": "Questions in an optimizer step.",
    "epochs": "At most.",
    "patience": "Epochs without a better recall@1.",
    "seed": "Of the head and the batches.",
}


def _recipe_options(command: Any) -> Any:
    choices = {"loss": list(LOSSES), "labels": ["rollouts", "trajectory"]}
    for name, value in reversed(asdict(RewardRecipe()).items()):
        command = click.option(
            "--" + name.replace("_", "-"),
            name,
            type=click.Choice(choices[name]) if name in choices else type(value),
            default=value,
            show_default=True,
            help=_HELP.get(name),
        )(command)
    return command


@click.command("train-rm")
@click.option(
    "--shards",
    required=True,
    multiple=True,
    type=click.Path(path_type=Path),
    help="Folder that `latent-tts annotate` wrote; repeatable.",
)
@click.option("--output", required=True, type=click.Path(path_type=Path), help="Checkpoint folder.")
@click.option("--pretrained", default="tiny-coconut", show_default=True, help="Backbone.")
@click.option(
    "--validation",
    type=click.Path(path_type=Path),
    help="Folder of shards whose pools recall@1 is measured on; a tenth of --shards if not given.",
)
@click.option("--random-head", is_flag=True, help="Ablation: publish the untrained model.")
@click.option("--report-to", default="tensorboard", show_default=True, help="As in transformers.")
@_recipe_options
def train_rm(
    shards: Sequence[Path],
    output: Path,
    pretrained: str,
    validation: Path | None,
    random_head: bool,
    report_to: str,
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
    backbone = AutoLatentModel.from_pretrained(pretrained, device_map=str(state.device))
    digest = checkpoint_digest(backbone)
    folders = {path: _open(path, digest, pretrained) for path in (*shards, validation) if path}
    entries = [entry for path in shards for entry in _read(folders[path])]
    if validation:
        held_out = _read(folders[validation])
    else:
        # By the prompt, so that equal questions stay together and no order of kinds matters.
        held = [question_key(0, entry.prompt) % 10 == 0 for entry in entries]
        held_out = [entry for entry, chosen in zip(entries, held, strict=True) if chosen]
        entries = [entry for entry, chosen in zip(entries, held, strict=True) if not chosen]
    _check_held_out(entries, held_out)
    questions = training_questions(entries, labels=recipe.labels)
    about = {
        "recipe": asdict(recipe),
        "random_head": random_head,
        "backbone": digest,
        "shards": [folders[path].index.digest for path in shards],
        "annotated": [_annotated(folders[path].index) for path in shards],
        "validation": folders[validation].index.digest if validation else None,
        "questions": {"read": len(entries), "mixed": len(questions), "held_out": len(held_out)},
    }
    work = output / "training"
    with state.main_process_first():
        _keep(work / "recipe.json", about)
    set_seed(recipe.seed)
    tokenizer: Any = load_tokenizer(pretrained)
    model, measured = train_reward_model(
        LatentRewardModel.from_backbone(backbone).float(),
        questions,
        held_out,
        recipe,
        folder=work,
        pad=backbone.latent_tokens.pad,
        train=not random_head,
        report_to=[report_to],
        disable_tqdm=not state.is_main_process,
    )
    if not state.is_main_process:
        return
    n, recall = len(held_out), measured["recall@1"]
    stderr = (recall * (1 - recall) / max(1, n - 1)) ** 0.5
    about["measured"] = measured | {"stderr": stderr}
    model.config.latent_backbone = digest  # whose thoughts it reads
    check_finite(model.half(), str(output))
    model.save_pretrained(output)
    tokenizer.save_pretrained(output)
    (output / "measured.json").write_text(json.dumps(about, indent=2) + "\n")
    card = reward_card(output.name, pretrained, about, parameters=model.num_parameters())
    (output / "README.md").write_text(card)
    click.echo(
        f"{len(questions)} of {len(entries)} questions have right and wrong trajectories. On {n} "
        f"held-out pools recall@1 is {recall:.4f} ± {stderr:.4f}, between pass@1 "
        f"{measured['pass@1']:.4f} and coverage {measured['coverage']:.4f}."
    )


def _open(path: Path, digest: str, pretrained: str) -> Shards:
    shards = Shards.open(path)
    if shards.index.checkpoint != digest:
        raise RewardError(
            f"The shards in {path} were made by another backbone (weights "
            f"{shards.index.checkpoint}) than {pretrained!r} (weights {digest}): its thoughts mean "
            "something else. Give the backbone that made them with --pretrained, or annotate again."
        )
    return shards


def _annotated(index: ShardIndex) -> dict[str, Any]:
    """Return what a model card says of a folder of shards."""
    return {
        "questions": index.count,
        "trajectories": index.settings["num_return_sequences"],
        "rollouts": index.rollouts,
        "sampler": index.settings["latent_do_sample_by"],
        "strength": index.settings[index.settings["sampler_strength"]],
    }


def _read(shards: Shards) -> list[LabelledQuestion]:
    entries: list[LabelledQuestion] = []
    shards.whole(entries.extend)
    if not entries:
        raise RewardError(f"{shards.folder} holds no whole shard. Run `latent-tts annotate` first.")
    if len(entries) < shards.index.count:
        logger.warning(
            "%s holds %d of its %d questions so far; going on with those.",
            shards.folder,
            len(entries),
            shards.index.count,
        )
    return entries


def _keep(path: Path, about: dict[str, Any]) -> None:
    """Write what determines the training, or refuse to go on with what something else began."""
    if path.exists() and json.loads(path.read_text()) != about:
        raise RewardError(
            f"{path} was begun with other options or shards than this command's, or while fewer "
            "shards were there. Repeat the command that began it, or choose another --output."
        )
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_suffix(".new")
        new.write_text(json.dumps(about, indent=2) + "\n")
        new.replace(path)  # never seen in part


def _check_held_out(
    entries: Sequence[LabelledQuestion], held_out: Sequence[LabelledQuestion]
) -> None:
    if not held_out:
        raise RewardError(
            f"{len(entries)} questions leave none to measure recall@1 on: annotate at least ten, "
            "or give --validation."
        )
    learned = {entry.prompt for entry in entries}
    shared = sum(entry.prompt in learned for entry in held_out)
    if shared:
        raise RewardError(
            f"{shared} of the {len(held_out)} held-out questions are learned too, so recall@1 "
            "would be too high. Annotate other questions for --validation (--split validation)."
        )

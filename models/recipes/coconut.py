"""COCONUT's curriculum: explicit steps first, then thoughts in their place (arXiv 2412.06769).

Stage s replaces the first s steps of every solution by s times `thoughts_per_step` thoughts; the
last stage replaces all of them. The text after the thoughts is learned and, unlike in COCONUT,
what the thoughts stand for: a linear probe reads each step's result from the state after its
thoughts. Supervising thoughts by their steps is the idea of SIM-CoT (arXiv 2509.20317), here with a
probe in the place of a decoder; like that decoder it is thrown away after training.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import Sampler
from transformers import DynamicCache, Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_pt_utils import LengthGroupedSampler
from transformers.trainer_utils import get_last_checkpoint

from ..backbones import LatentBackbone

PROBE_CLASSES = 100
"""A probe tells results apart by their last two digits."""


@dataclass(frozen=True)
class Example:
    """A training problem: its text, the equations that solve it in order, and the answer."""

    question: str
    steps: tuple[str, ...]
    answer: str


@dataclass(frozen=True)
class Stage:
    """One stage of the curriculum.

    Attributes:
        name: of the stage's folder.
        replaced: how many leading steps are replaced; None is all.
        thoughts: fed in their place.
        thoughts_per_step: of which so many stand for one step.
        probe_weight: of what the thoughts stand for, in the loss; 0 is COCONUT's own loss.
        updates: optimizer steps.
        learning_rate: peak, after a warm-up, falling to a tenth of itself by a cosine.
    """

    name: str
    replaced: int | None
    thoughts: int
    thoughts_per_step: int
    probe_weight: float
    updates: int
    learning_rate: float


@dataclass(frozen=True)
class Collator:
    """Tokenises a batch of examples for one stage and pads it.

    Attributes:
        model: gives the prompt format and the end marker.
        tokenizer: the model's.
        stage: says how many steps are replaced by how many thoughts.
    """

    model: LatentBackbone
    tokenizer: Any
    stage: Stage

    def __call__(self, examples: Sequence[Example]) -> dict[str, torch.Tensor]:
        """Return prompt i64[B, P] (padded left), prompt_mask, target i64[B, A], results i64[B, S].

        A target is the end marker, the steps that are left, the answer and eos, padded on the
        right with -100. Results are those of the S replaced steps, modulo `PROBE_CLASSES`; beyond
        a solution's last step, its answer again.
        """
        pad, eos = self.tokenizer.pad_token_id, self.tokenizer.eos_token_id
        prompts = self._encode([self.model.format_prompt(e.question) for e in examples])
        targets = [[*ids, eos] for ids in self._encode([self._target(e) for e in examples])]
        width, length = (max(map(len, rows)) for rows in (prompts, targets))
        return {
            "prompt": torch.tensor([[pad] * (width - len(ids)) + ids for ids in prompts]),
            "prompt_mask": torch.tensor(
                [[0] * (width - len(ids)) + [1] * len(ids) for ids in prompts]
            ),
            "target": torch.tensor([ids + [-100] * (length - len(ids)) for ids in targets]),
            "results": torch.tensor(list(map(self._results, examples)), dtype=torch.long),
        }

    def _results(self, example: Example) -> list[int]:
        results = [int(step.rstrip(">").rpartition("=")[2]) for step in example.steps]
        count = self.stage.thoughts // self.stage.thoughts_per_step
        return [results[min(step, len(results) - 1)] % PROBE_CLASSES for step in range(count)]

    def _target(self, example: Example) -> str:
        replaced = self.stage.replaced
        kept = () if replaced is None else example.steps[replaced:]
        steps = "".join(f"{step}\n" for step in kept)
        return f"{self.model.end_marker}{steps}### {example.answer}"

    def _encode(self, texts: list[str]) -> list[list[int]]:
        return self.tokenizer(texts, add_special_tokens=False)["input_ids"]


def coconut_loss(
    model: Any,
    *,
    prompt: torch.Tensor,
    prompt_mask: torch.Tensor,
    target: torch.Tensor,
    results: torch.Tensor,
    stage: Stage,
) -> torch.Tensor:
    """Return the mean cross-entropy of the target after the thoughts, plus the weighted probe's.

    Args:
        model: the backbone; gradients flow through its thoughts. Where the stage weighs the probe,
            `model.probe` maps a state f[…, D] to f[…, PROBE_CLASSES].
        prompt: i64[B, P], left-padded.
        prompt_mask: i64[B, P].
        target: i64[B, A], the end marker, the remaining text and eos; -100 is padding.
        results: i64[B, S], what the probe is to read after each replaced step's thoughts.
        stage: how many thoughts, and the probe's weight.
    """
    cache = DynamicCache(config=model.config)
    mask = prompt_mask
    positions = (mask.cumsum(dim=1) - 1).clamp(min=0)

    def read(**inputs: torch.Tensor) -> torch.Tensor:
        return model.base_model(
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            **inputs,
        ).last_hidden_state

    hidden = read(input_ids=prompt)[:, -1:]
    last = positions[:, -1:]
    states = []
    for _ in range(stage.thoughts):
        mask = torch.cat((mask, torch.ones_like(mask[:, :1])), dim=1)
        last = positions = last + 1
        hidden = read(inputs_embeds=model.next_thought(hidden))
        states.append(hidden)
    fed = target[:, :-1]
    mask = torch.cat((mask, (fed >= 0).to(mask.dtype)), dim=1)
    positions = last + 1 + torch.arange(fed.shape[1], device=fed.device)
    logits = model.get_output_embeddings()(read(input_ids=fed.clamp(min=0)))
    loss = functional.cross_entropy(logits.flatten(0, 1).float(), target[:, 1:].flatten())
    each = stage.thoughts_per_step
    if stage.probe_weight and states[each - 1 :: each]:
        read_off = model.probe(torch.cat(states[each - 1 :: each], dim=1)).float()
        probe_loss = functional.cross_entropy(read_off.flatten(0, 1), results.flatten())
        loss = loss + stage.probe_weight * probe_loss
    return loss


class _EpochSampler(LengthGroupedSampler):
    """Groups examples of like length, in an order that depends on the seed and the epoch alone.

    transformers' own goes on from its generator's state, which a resumed run does not have.
    """

    def __init__(self, batch_size: int, *, lengths: list[int], seed: int) -> None:
        super().__init__(batch_size, lengths=lengths, generator=torch.Generator())
        self.seed = seed
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Go to the generator's state at the start of an epoch, as transformers' loop asks."""
        self.generator.manual_seed(self.seed)
        for _ in range(epoch):
            torch.randperm(len(self.lengths), generator=self.generator)


class CoconutTrainer(Trainer):
    """transformers' Trainer with the loss of one stage."""

    def __init__(self, *args: Any, stage: Stage, **kwargs: Any) -> None:
        """Keep what the loss depends on."""
        super().__init__(*args, **kwargs)
        self.stage = stage

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int]:
        # Examples of one length share a batch: on a CPU less padding matters more than a smaller
        # model. Characters stand for tokens.
        examples: Any = train_dataset or self.train_dataset
        return _EpochSampler(
            self.args.train_batch_size,
            lengths=[len(example.question) for example in examples],
            seed=self.args.seed if self.args.data_seed is None else self.args.data_seed,
        )

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> torch.Tensor | tuple[torch.Tensor, Any]:
        """Return the stage's loss for one batch."""
        backbone = self.accelerator.unwrap_model(model)
        loss = coconut_loss(backbone, stage=self.stage, **inputs)
        return (loss, {}) if return_outputs else loss


def train_stage(
    model: Any,
    tokenizer: Any,
    examples: Sequence[Example],
    stage: Stage,
    *,
    folder: Path,
    arguments: dict[str, Any],
    callbacks: Sequence[TrainerCallback] = (),
) -> None:
    """Train one stage, going on from its newest checkpoint where there is one.

    Args:
        model: trained in place.
        tokenizer: the model's.
        examples: training problems.
        stage: what to replace and for how long.
        folder: the stage's folder; checkpoints and logs go here.
        arguments: further `TrainingArguments`, such as batch size and seed.
        callbacks: of transformers.
    """
    model.probe = nn.Linear(model.config.hidden_size, PROBE_CLASSES).to(model.device)
    nn.init.zeros_(model.probe.weight)  # no random numbers, so that a resumed run is the same
    nn.init.zeros_(model.probe.bias)
    trainer = CoconutTrainer(
        model=model,
        args=TrainingArguments(
            output_dir=str(folder),
            max_steps=stage.updates,
            learning_rate=stage.learning_rate,
            lr_scheduler_type="cosine_with_min_lr",
            lr_scheduler_kwargs={"min_lr_rate": 0.1},
            remove_unused_columns=False,
            **arguments,
        ),
        train_dataset=list(examples),
        data_collator=Collator(model, tokenizer, stage),
        callbacks=list(callbacks),
        stage=stage,
    )
    newest = get_last_checkpoint(str(folder)) if folder.is_dir() else None
    if newest is not None and newest.endswith(f"-{stage.updates}"):
        trainer._load_from_checkpoint(newest)  # train() would add an update to a finished stage
    else:
        trainer.train(resume_from_checkpoint=newest)
    del model.probe

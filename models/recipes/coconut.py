"""COCONUT's curriculum: explicit steps first, then thoughts in their place (arXiv 2412.06769).

Stage s replaces the first s steps of every solution by s times `thoughts_per_step` thoughts; the
last stage replaces all of them. Only the text after the thoughts is learned.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional
from torch.utils.data import Sampler
from transformers import DynamicCache, Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_pt_utils import LengthGroupedSampler
from transformers.trainer_utils import get_last_checkpoint

from ..backbone import LatentBackbone


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
        updates: optimizer steps.
        learning_rate: peak, after a warm-up, falling to a tenth of itself by a cosine.
    """

    name: str
    replaced: int | None
    thoughts: int
    updates: int
    learning_rate: float


@dataclass(frozen=True)
class Collator:
    """Tokenises a batch of examples for one stage and pads it.

    Attributes:
        model: gives the prompt format and the end marker.
        tokenizer: the model's.
        replaced: how many leading steps the thoughts replace; None is all.
    """

    model: LatentBackbone
    tokenizer: Any
    replaced: int | None

    def __call__(self, examples: Sequence[Example]) -> dict[str, torch.Tensor]:
        """Return prompt i64[B, P] (padded left), prompt_mask i64[B, P], target i64[B, A].

        A target is the end marker, the steps that are left, the answer and eos, padded on the
        right with -100.
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
        }

    def _target(self, example: Example) -> str:
        kept = () if self.replaced is None else example.steps[self.replaced :]
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
    thoughts: int,
) -> torch.Tensor:
    """Return the mean cross-entropy of the target after `thoughts` thoughts.

    Args:
        model: the backbone; gradients flow through its thoughts.
        prompt: i64[B, P], left-padded.
        prompt_mask: i64[B, P].
        target: i64[B, A], the end marker, the remaining text and eos; -100 is padding.
        thoughts: T.
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
    for _ in range(thoughts):
        mask = torch.cat((mask, torch.ones_like(mask[:, :1])), dim=1)
        last = positions = last + 1
        hidden = read(inputs_embeds=model.next_thought(hidden))
    fed = target[:, :-1]
    mask = torch.cat((mask, (fed >= 0).to(mask.dtype)), dim=1)
    positions = last + 1 + torch.arange(fed.shape[1], device=fed.device)
    hidden = read(input_ids=fed.clamp(min=0))
    logits = model.get_output_embeddings()(hidden)
    return functional.cross_entropy(logits.flatten(0, 1).float(), target[:, 1:].flatten())


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

    def __init__(self, *args: Any, thoughts: int, **kwargs: Any) -> None:
        """Keep the stage's number of thoughts."""
        super().__init__(*args, **kwargs)
        self.thoughts = thoughts

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
        loss = coconut_loss(self.accelerator.unwrap_model(model), thoughts=self.thoughts, **inputs)
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
        data_collator=Collator(model, tokenizer, stage.replaced),
        callbacks=list(callbacks),
        thoughts=stage.thoughts,
    )
    newest = get_last_checkpoint(str(folder)) if folder.is_dir() else None
    trainer.train(resume_from_checkpoint=newest)

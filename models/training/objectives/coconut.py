"""COCONUT: thoughts take the place of more and more steps (arXiv 2412.06769)."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import nn
from torch.nn import functional

from ...errors import ModelError
from ...fields import integer, real
from ...samplers import Sampler
from ..batches import Sequences, pad_batch
from ..course import Example, Turn, addressed
from ..unroll import learned_loss, unroll
from .protocol import Batch, Objective, encode, written

_PROBE_CLASSES = 100  # a probe tells results apart by their last two digits
_RESULT = re.compile(r"=\s*(-?\d+)\s*(?:>>)?$")


@dataclass(frozen=True, kw_only=True)
class CoconutObjective(Objective):
    """Stage s replaces the first s steps by thoughts; after the last one all steps are thought.

    Attributes:
        thoughts_per_step: thoughts that stand for one step, c.
        thought_steps: steps that thoughts stand for in the end, S: c * S thoughts.
        stage_updates: optimizer steps of each stage 1 to S, in which the steps beyond s are still
            written; what is left of the updates goes to the last stage, where none is. 0 has the
            last stage alone.
        earlier_share: share of batches that are of an earlier stage, each equally often; stage 0
            writes all steps.
        probe_weight: of a linear probe that reads each step's result from the state after its
            thoughts, as SIM-CoT (arXiv 2509.20317) does with a decoder; thrown away after training.
            0 is COCONUT's own loss.
    """

    name: ClassVar[str] = "coconut"
    backbone: ClassVar[str | None] = "coconut"

    thoughts_per_step: int = integer(2, least=1)
    thought_steps: int = integer(3, least=1)
    stage_updates: int = integer(0, least=0)
    earlier_share: float = real(0.0, below=1.0)
    probe_weight: float = real(0.0)

    @property
    def weights(self) -> Mapping[str, float]:
        """Of the text, and of the probe where there is one."""
        return {"text": 1.0} | ({"probe": self.probe_weight} if self.probe_weight else {})

    def helpers(self, model: Any) -> nn.ModuleDict:
        """Return the probe."""
        size = model.config.get_text_config().hidden_size
        probe = {"probe": nn.Linear(size, _PROBE_CLASSES)} if self.probe_weight else {}
        return nn.ModuleDict(probe)

    def stage_starts(self, updates: int) -> Sequence[int]:
        """Return where each stage begins."""
        stages = range(self.thought_steps + 1) if self.stage_updates else [0]
        return [start for stage in stages if (start := stage * self.stage_updates) < updates]

    def generation(self, update: int, updates: int) -> Mapping[str, Any]:
        """Return how many thoughts a stage has."""
        replaced = self._replaced(self._stage(max(0, update - 1)))
        return {"latent_length": replaced * self.thoughts_per_step}

    def longest(self, model: Any, tokenizer: Any, example: Example) -> int:
        """Return the positions of the stage that takes most."""
        return max(
            len(row.prompt) + len(row.text) + self._replaced(stage) * self.thoughts_per_step
            for stage in range(self.thought_steps + 2)
            for row in [self._row(model, tokenizer, example, stage)]
        )

    def collate(
        self, model: Any, tokenizer: Any, turns: Sequence[Turn], *, updates: int, seed: int
    ) -> Batch:
        """Return what `pad_batch` returns and the number of thoughts; all are of one stage.

        So no example has thoughts that stand for nothing, and none is padded between them.
        """
        stage = self._stage(turns[0].update)
        if addressed(seed, "earlier", turns[0].batch) < self.earlier_share:
            stage = int(stage * addressed(seed, "which", turns[0].batch))
        rows = [self._row(model, tokenizer, turn.example, stage, turn.visit) for turn in turns]
        batch: Batch = dict(pad_batch(rows, pad=tokenizer.pad_token_id, seed=seed))
        counts = {"text": torch.tensor(len(batch["targets"]))}
        if self.probe_weight:
            steps = self._replaced(stage)
            batch["results"] = torch.tensor([_results(turn.example, steps) for turn in turns])
            counts["probe"] = torch.tensor(len(turns) * steps)
        thoughts = self._replaced(stage) * self.thoughts_per_step
        return batch | {"counts": counts, "thoughts": thoughts}

    def loss(
        self, model: Any, batch: Batch, sampler: Sampler, helpers: nn.ModuleDict
    ) -> Mapping[str, torch.Tensor]:
        """Return the summed cross-entropy of what is written, and of the steps' results."""
        found = unroll(model, batch, thoughts=batch["thoughts"], sampler=sampler)
        terms = {"text": learned_loss(model, found.states, batch)}
        if self.probe_weight:
            each = self.thoughts_per_step
            read = helpers["probe"](found.thoughts[:, each - 1 :: each]).flatten(0, 1)
            results = batch["results"].flatten().long()
            terms["probe"] = functional.cross_entropy(read, results, reduction="sum")
        return terms

    def _stage(self, update: int) -> int:
        """Return the stage of an update, 1 to S + 1."""
        last = self.thought_steps + 1
        return min(last, 1 + update // self.stage_updates) if self.stage_updates else last

    def _replaced(self, stage: int) -> int:
        return min(stage, self.thought_steps)

    def _row(
        self, model: Any, tokenizer: Any, example: Example, stage: int, visit: int = 0
    ) -> Sequences:
        kept = () if stage > self.thought_steps else tuple(example.steps)[stage:]
        text = encode(tokenizer, written(kept, example.answer))
        end = model.latent_tokens.end
        learned = [*text, tokenizer.eos_token_id]
        prompt = model.encode_prompt(tokenizer, example.question)
        return Sequences(prompt, [end, *learned], len(learned), visit)


def _results(example: Example, count: int) -> list[int]:
    """Return the results of the first steps; beyond the last step, its own again."""
    found = [_RESULT.search(step) for step in example.steps]
    if not found or None in found:
        raise ModelError(
            f"The steps {list(example.steps)} of {example.question[:40]!r} do not all end in a "
            "whole number, as <<2+3=5>> does, so the probe has nothing to read. Set probe_weight "
            "to 0, or leave the question out."
        )
    results = [int(match[1]) % _PROBE_CLASSES for match in found if match]
    return [results[min(step, len(results) - 1)] for step in range(count)]

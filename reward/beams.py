"""Beam search over thoughts, guided by cumulative step rewards (arXiv 2510.07745, section 4).

Each of k beams proposes m stochastic next thoughts, and the best k of the k * m by the sum of their
r_t survive. A proposal equal to another one, thought by thought, is dropped; where fewer than k
beams are left, they share all k * m proposals. Candidate 0 of a beam keeps the beam's address, the
others get addresses of their own, so k = m = 1 is sample 0.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..models import LatentGenerateOutput, LatentSettings
from ..models.attention import PASS
from ..models.engine import (
    check_prompts,
    feed,
    prefill,
    prompt_tokens,
    propose,
    row_keys,
    run,
)
from ..models.randomness import branch_keys
from ..models.rows import Record, Rows
from ..models.samplers import make_sampler
from .errors import RewardError
from .model import RewardReader, check_fit, check_positions

# Equal thoughts may differ in their last bits where they stand in other rows of a batch.
_SAME = 1e-5


@dataclass(frozen=True, kw_only=True)
class BeamSearchOutput:
    """The beams that a search ended with: question by question, the best first.

    Attributes:
        questions: i64[R], which prompt each beam belongs to; at most k beams a prompt, fewer where
            proposals were equal.
        output: of R rows, as `generate` returns them.
        step_rewards: f32[R, T], r_t, zero beyond a beam's length; a beam's score is the sum.
    """

    questions: torch.Tensor
    output: LatentGenerateOutput
    step_rewards: torch.Tensor


@dataclass(kw_only=True)
class _Beam:
    """One beam or proposal.

    Attributes:
        question: which prompt.
        rewards: r_t so far.
        place: row in the batch, or in the group where its thinking has ended.
        parent: beam that proposed it; -1 for one that ended earlier.
        thought: f32[D], the proposed thought; None where thinking has ended.
        group: number of the rows that it was set aside with; None while it thinks.
    """

    question: int
    rewards: list[float]
    place: int
    parent: int
    thought: NDArray[np.float32] | None = None
    group: int | None = None

    @property
    def score(self) -> float:
        total = sum(self.rewards)
        return total if np.isfinite(total) else -np.inf

    def equals(self, other: "_Beam") -> bool:
        """Whether both hold the same thoughts; those of different parents never do."""
        if self.parent != other.parent or self.parent < 0:
            return False
        if self.thought is None or other.thought is None:
            return self.thought is other.thought
        return bool(np.allclose(self.thought, other.thought, rtol=_SAME, atol=_SAME))


@torch.no_grad()
def beam_search(
    model: Any,
    reward_model: Any,
    *,
    input_ids: torch.Tensor,
    attention_mask: torch.Tensor | None = None,
    settings: LatentSettings,
    sample_offset: int = 0,
) -> BeamSearchOutput:
    """Search for the thoughts of the highest cumulative reward, and answer after them.

    A beam that ends its thinking by itself competes with what it has; it proposes no more.

    Args:
        model: the backbone.
        reward_model: a LatentRM of its thoughts.
        input_ids: i64[B, P], prompts padded on the left.
        attention_mask: i64[B, P]; all ones if None.
        settings: the sampler, `num_beams` k and `num_beam_candidates` m.
        sample_offset: index of the sample that beam 0 begins as.

    Returns:
        The surviving beams of every prompt, the best first; of equal scores the earliest, and a
        score that is not finite last.

    Raises:
        RewardError: settings without beams, a reward model of another backbone, or a prompt too
            long for it.
        ModelError: a prompt too long for the backbone, or hidden states that are not finite.
    """
    if settings.beams is None:
        raise RewardError(
            f"num_beams={settings.num_beams} asks for no beam search; give num_beams and "
            "num_beam_candidates."
        )
    input_ids = input_ids.to(model.device)
    mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
    mask = mask.to(model.device)
    check_prompts(model, prompt_tokens(input_ids, mask), settings)
    check_fit(model, reward_model)
    check_positions(reward_model, mask, settings.thought_limit)
    search = _Search(model, settings)
    with PASS, search.sampler.installed(model):
        beams = search.think(
            input_ids, mask, RewardReader(reward_model, input_ids, mask), sample_offset
        )
        record = search.answer(beams)
    places = torch.tensor([beam.question for beam in beams], device=input_ids.device)
    output = record.output(input_ids[places])
    rewards = torch.zeros(torch.as_tensor(output.latent_thoughts).shape[:2])
    for row, beam in zip(rewards, beams, strict=True):
        row[: len(beam.rewards)] = torch.tensor(beam.rewards)
    return BeamSearchOutput(questions=places.cpu(), output=output, step_rewards=rewards)


class _Search:
    """The rows of all beams, in the batch or set aside."""

    def __init__(self, model: Any, settings: LatentSettings) -> None:
        self.model, self.settings = model, settings
        self.sampler = make_sampler(settings)
        self.beams, self.candidates = settings.beams or (1, 1)
        # Rows whose thinking has ended, with their thoughts f[R, T, D], and after how many.
        self.aside: list[tuple[Rows, torch.Tensor, int]] = []

    def think(
        self, input_ids: torch.Tensor, mask: torch.Tensor, reader: RewardReader, offset: int
    ) -> list[_Beam]:
        """Return the last beams, question by question and the best first."""
        samples = range(offset, offset + self.beams)
        tokens = prompt_tokens(input_ids, mask)
        keys = row_keys(tokens, self.settings, samples, input_ids.device).unsqueeze(-1)
        others = branch_keys(keys.squeeze(-1), 0, self.candidates)[..., 1:]
        keys = torch.cat((keys, others), dim=-1).flatten(1)
        rows = Rows.begin(*prefill(self.model, input_ids, mask, keys, self.sampler), keys)
        questions = torch.arange(len(input_ids), device=keys.device)
        reader.select(questions.repeat_interleave(keys.shape[1]))
        # Before the first thought all beams of a question are equal: they have one parent.
        parents = [
            _Beam(question=place, rewards=[], place=place, parent=0)
            for place in range(len(input_ids))
        ]
        owners = questions.repeat_interleave(keys.shape[1]).tolist()  # of each row, in `parents`
        thoughts = rows.hidden.new_empty(len(rows.hidden), 0, rows.hidden.shape[1])
        ended: list[_Beam] = []
        for step in range(self.settings.thought_limit + 1):
            _, thinks, inputs = propose(self.model, rows, self.settings, self.sampler)
            rewards = self._score(reader, inputs, thinks)
            proposals = [
                _Beam(
                    question=parents[owner].question,
                    rewards=[*parents[owner].rewards, *([] if reward is None else [reward])],
                    place=place,
                    parent=owner,
                    thought=None if reward is None else inputs[place].float().cpu().numpy(),
                )
                for place, (owner, reward) in enumerate(zip(owners, rewards, strict=True))
            ]
            best = self._best(ended + proposals)
            ended = self._set_aside(best, rows, thoughts, step)
            parents = [beam for beam in best if beam.thought is not None]
            if not parents:
                break
            last = step + 1 == self.settings.thought_limit
            shares = [1] * len(parents) if last else self._shares(parents, ended)
            owners = [number for number, share in enumerate(shares) for _ in range(share)]
            chosen = torch.tensor([parents[owner].place for owner in owners], device=keys.device)
            among = (thinks.cumsum(dim=0) - 1)[chosen]  # the reader holds the thinking rows only
            reader.select(among)
            rows, inputs = rows.select(chosen), inputs[chosen]
            thoughts = torch.cat((thoughts[chosen], inputs.unsqueeze(1)), dim=1)
            number = torch.cat([torch.arange(share, device=keys.device) for share in shares])
            others = branch_keys(rows.keys, step + 1, max(shares))
            own = others.gather(1, number.unsqueeze(1)).squeeze(1)
            rows.keys = torch.where(number == 0, rows.keys, own)
            rows.thoughts = rows.thoughts + 1
            feed(self.model, rows, inputs, self.settings, self.sampler)
        return ended

    def answer(self, beams: list[_Beam]) -> Record:
        """Let every beam write its answer."""
        record = Record.empty(self.model, self.settings, len(beams))
        for group, (rows, thoughts, step) in enumerate(self.aside):
            index = [place for place, beam in enumerate(beams) if beam.group == group]
            if not index:
                continue
            chosen = torch.tensor([beams[place].place for place in index], device=rows.keys.device)
            rows = rows.select(chosen)
            rows.index = torch.tensor(index, device=chosen.device)
            record.tokens[rows.index, :step] = self.model.latent_tokens.placeholder
            record.thoughts[rows.index, :step] = thoughts[chosen].to(record.thoughts.dtype)
            run(self.model, rows, self.settings, self.sampler, record)
        return record

    def _shares(self, parents: list[_Beam], ended: list[_Beam]) -> list[int]:
        """Return how many thoughts each beam proposes: m, and a share of what missing ones do."""
        thinking = Counter(beam.question for beam in parents)
        done = Counter(beam.question for beam in ended)
        shares = []
        for question, count in thinking.items():
            budget = self.candidates * (self.beams - done[question])
            shares += [budget // count + (place < budget % count) for place in range(count)]
        return shares

    def _score(
        self, reader: RewardReader, inputs: torch.Tensor, thinks: torch.Tensor
    ) -> list[float | None]:
        """Return r_t of every row that proposes a thought; None for the others."""
        places = thinks.nonzero().squeeze(1)
        reader.select(places)
        rewards: list[float | None] = [None] * len(thinks)
        if len(places):
            found = reader.read(inputs[places].unsqueeze(1)).squeeze(1)
            for place, reward in zip(places.tolist(), found.tolist(), strict=True):
                rewards[place] = reward
        return rewards

    def _best(self, beams: list[_Beam]) -> list[_Beam]:
        """Return the best k different beams of every question."""
        kept: dict[int, list[_Beam]] = {}
        for beam in sorted(beams, key=lambda beam: (beam.question, -beam.score)):
            own = kept.setdefault(beam.question, [])
            if len(own) < self.beams and not any(beam.equals(other) for other in own):
                own.append(beam)
        return [beam for own in kept.values() for beam in own]

    def _set_aside(
        self, best: list[_Beam], rows: Rows, thoughts: torch.Tensor, step: int
    ) -> list[_Beam]:
        """Copy the rows whose thinking has ended out of the batch; return all that have."""
        new = [beam for beam in best if beam.thought is None and beam.group is None]
        if new:
            chosen = torch.tensor([beam.place for beam in new], device=thoughts.device)
            for place, beam in enumerate(new):
                beam.place, beam.parent, beam.group = place, -1, len(self.aside)
            self.aside.append((rows.select(chosen), thoughts[chosen], step))
        return [beam for beam in best if beam.thought is None]

"""Labels of thoughts by rollouts (arXiv 2510.07745, section 4)."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence

from ..models import LatentBackbone, LatentSettings, Trajectory, sample
from ..models.engine.rollouts import complete
from ..tasks import Question
from .errors import RewardError


@dataclass(frozen=True, kw_only=True)
class LabelledQuestion:
    """The trajectories of one question and what its thoughts are worth.

    Attributes:
        id: the question's name in its set.
        gold: the right answer; of a number the canonical decimal.
        prompt: token ids that end in the start marker.
        answers: of each trajectory, as written; None where none was found.
        thoughts: f16[N, T, D], input embeddings, zero beyond a trajectory's length.
        lengths: i64[N], thoughts of each trajectory.
        labels: f32[N, T], y_t in [0, 1], the share of completions from thoughts 1 to t that are
            right; at a trajectory's last thought whether it is right itself; zero beyond it. Where
            the trajectories are all right or all wrong, every y_t says which.
        right: bool[N], whether each trajectory's own answer is right.
    """

    id: str
    gold: str
    prompt: tuple[int, ...]
    answers: tuple[str | None, ...]
    thoughts: torch.Tensor
    lengths: torch.Tensor
    labels: torch.Tensor
    right: torch.Tensor


def label_questions(
    model: LatentBackbone,
    tokenizer: Any,
    questions: Sequence[Question],
    settings: LatentSettings,
    *,
    rollouts: int,
) -> list[LabelledQuestion]:
    """Sample N trajectories of each question and label their thoughts by M completions each.

    y_t = (right among M completions of h_1:t) / M for t < T, and y_T = the trajectory's own
    correctness. A question whose trajectories are all right or all wrong is never learned from (as
    released), so it is not completed. The trajectories are those that `generate` gives under the
    same settings; a completion's randomness is addressed by trajectory, step and number, so a label
    depends on nothing else in the batch.

    Args:
        model: the backbone.
        tokenizer: the model's.
        questions: one batch.
        settings: N (`num_return_sequences`), the seed and the sampler.
        rollouts: M; with 0 every step's label is the trajectory's own correctness.

    Returns:
        One entry a question, in order.

    Raises:
        ModelError: a prompt that does not fit, or values that are not finite.
        RewardError: thoughts beyond the range of float16.
    """
    prompts = [model.encode_prompt(tokenizer, question.text) for question in questions]
    judge = _Judge(model, tokenizer, questions)
    pools: list[list[Trajectory]] = [[] for _ in questions]
    for trajectory in sample(model, prompts, settings):
        pools[trajectory.question].append(trajectory)
    pools = [sorted(pool, key=lambda one: one.sample) for pool in pools]
    right = [[judge.is_right(one) for one in pool] for pool in pools]
    mixed = [index for index, own in enumerate(right) if any(own) and not all(own)]
    completed = [one for index in mixed for one in pools[index]] if rollouts else []
    counts: dict[tuple[int, int, int], int] = defaultdict(int)  # right ones, by where they left
    for leave, completion in complete(model, prompts, completed, settings, count=rollouts):
        left = completed[leave.trajectory]
        good = judge.is_right(replace(completion, question=left.question))
        counts[left.question, left.sample, leave.step] += good
    entries = []
    for index, (question, pool, own) in enumerate(zip(questions, pools, right, strict=True)):
        lengths = [len(one.thoughts) for one in pool]
        labels = torch.zeros(len(pool), max(lengths))
        for number, (length, good) in enumerate(zip(lengths, own, strict=True)):
            labels[number, :length] = float(good)
            if rollouts and index in mixed:
                for step in range(1, length):
                    labels[number, step - 1] = counts[index, number, step] / rollouts
        entries.append(
            LabelledQuestion(
                id=question.id,
                gold=question.gold,
                prompt=tuple(prompts[index]),
                answers=tuple(judge.answer(one) for one in pool),
                thoughts=_half(pad_sequence([one.thoughts for one in pool], batch_first=True)),
                lengths=torch.tensor(lengths),
                labels=labels,
                right=torch.tensor(own),
            )
        )
    return entries


def stacked(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return tensors [N, T, …] of several questions as one, [B, N, T, …], padded with zeros."""
    by_step = [tensor.transpose(0, 1) for tensor in tensors]
    return pad_sequence(by_step, batch_first=True).transpose(1, 2).contiguous()


class _Judge:
    """Reads answers and compares them with the gold ones; equal answers are read once."""

    def __init__(
        self, model: LatentBackbone, tokenizer: Any, questions: Sequence[Question]
    ) -> None:
        self._model, self._tokenizer, self._questions = model, tokenizer, questions
        self._read: dict[tuple[int, ...], str | None] = {}
        self._judged: dict[tuple[str | None, int], bool] = {}

    def answer(self, trajectory: Trajectory) -> str | None:
        """Return what a trajectory answers."""
        ids = tuple(trajectory.text_ids)
        if ids not in self._read:
            self._read[ids] = self._model.read_answer(self._tokenizer.decode(list(ids)))
        return self._read[ids]

    def is_right(self, trajectory: Trajectory) -> bool:
        """Return whether a trajectory answers its question rightly."""
        pair = (self.answer(trajectory), trajectory.question)
        if pair not in self._judged:
            self._judged[pair] = self._questions[trajectory.question].is_right(pair[0])
        return self._judged[pair]


def _half(thoughts: torch.Tensor) -> torch.Tensor:
    half = thoughts.cpu().half()
    if not bool(torch.isfinite(half).all()):
        raise RewardError(
            f"Thoughts reach {float(thoughts.abs().max()):g}, beyond float16's 65504, in which "
            "shards hold them. A sampler that strong gives no useful trajectories: lower it."
        )
    return half

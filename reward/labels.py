"""Labels of thoughts by rollouts (arXiv 2510.07745, section 4)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence

from ..models import LatentBackbone, LatentSettings, Trajectory, sample
from ..models.engine.rollouts import Leave, complete
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
        answer_ids: tokens of each trajectory's answer; empty where old shards do not say.
        truncated: whether each answer was cut off before its end; likewise.
    """

    id: str
    gold: str
    prompt: tuple[int, ...]
    answers: tuple[str | None, ...]
    thoughts: torch.Tensor
    lengths: torch.Tensor
    labels: torch.Tensor
    right: torch.Tensor
    answer_ids: tuple[tuple[int, ...], ...] = ()
    truncated: tuple[bool, ...] = ()


def label_questions(
    model: LatentBackbone,
    tokenizer: Any,
    questions: Sequence[Question],
    settings: LatentSettings,
    *,
    rollouts: int,
    prompts: Sequence[Sequence[int]] | None = None,
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
        prompts: the questions' token ids, where a caller has them already.

    Returns:
        One entry a question, in order.

    Raises:
        ModelError: a prompt that does not fit, or values that are not finite.
        RewardError: thoughts beyond the range of float16.
    """
    if prompts is None:
        prompts = [model.encode_prompt(tokenizer, question.text) for question in questions]
    judge = _Judge(model, tokenizer, questions)
    pools = _pools(model, prompts, settings)
    right = [[judge.is_right(one) for one in pool] for pool in pools]
    labels = [_own_labels(pool, own) for pool, own in zip(pools, right, strict=True)]
    mixed = [index for index, own in enumerate(right) if any(own) and not all(own)]
    if rollouts:
        completed = [one for index in mixed for one in pools[index]]
        found = complete(model, prompts, completed, settings, count=rollouts)
        _label_by(found, completed, labels, judge, rollouts)
    return [
        LabelledQuestion(
            id=question.id,
            gold=question.gold,
            prompt=tuple(prompts[index]),
            answers=tuple(judge.answer(one) for one in pools[index]),
            thoughts=_thoughts(pools[index]),
            lengths=torch.tensor([len(one.thoughts) for one in pools[index]]),
            labels=labels[index],
            right=torch.tensor(right[index]),
            answer_ids=tuple(one.answer_ids for one in pools[index]),
            truncated=tuple(one.truncated for one in pools[index]),
        )
        for index, question in enumerate(questions)
    ]


def _pools(
    model: LatentBackbone, prompts: Sequence[Sequence[int]], settings: LatentSettings
) -> list[list[Trajectory]]:
    """Return the trajectories of each prompt, in the order of their samples."""
    pools: list[list[Trajectory]] = [[] for _ in prompts]
    for trajectory in sample(model, prompts, settings):
        pools[trajectory.question].append(trajectory)
    return [sorted(pool, key=lambda one: one.sample) for pool in pools]


def _own_labels(pool: Sequence[Trajectory], right: Sequence[bool]) -> torch.Tensor:
    """Return f32[N, T]: each trajectory's own correctness at every thought, zero beyond."""
    labels = torch.zeros(len(pool), max(len(one.thoughts) for one in pool))
    for row, one, good in zip(labels, pool, right, strict=True):
        row[: len(one.thoughts)] = float(good)
    return labels


def stacked(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return tensors [N, T, …] of several questions as one, [B, N, T, …], padded with zeros."""
    by_step = [tensor.transpose(0, 1) for tensor in tensors]
    return pad_sequence(by_step, batch_first=True).transpose(1, 2).contiguous()


def _label_by(
    found: Iterable[tuple[Leave, Trajectory]],
    completed: Sequence[Trajectory],
    labels: Sequence[torch.Tensor],
    judge: "_Judge",
    rollouts: int,
) -> None:
    """Put the shares of right completions into the labels f32[N, T] of each question, in place."""
    shares = [labels[one.question][one.sample, : len(one.thoughts)][:-1] for one in completed]
    for share in shares:
        share.zero_()
    for leave, completion in found:
        question = completed[leave.trajectory].question
        good = judge.is_right(replace(completion, question=question))
        shares[leave.trajectory][leave.step - 1] += good
    for share in shares:
        share /= rollouts


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


def _thoughts(pool: Sequence[Trajectory]) -> torch.Tensor:
    """Return f16[N, T, D]; RewardError for thoughts beyond its range."""
    thoughts = pad_sequence([one.thoughts for one in pool], batch_first=True)
    half = thoughts.cpu().half()
    if not bool(torch.isfinite(half).all()):
        raise RewardError(
            f"Thoughts reach {float(thoughts.abs().max()):g}, beyond float16's 65504, in which "
            "shards hold them. A sampler that strong gives no useful trajectories: lower it."
        )
    return half

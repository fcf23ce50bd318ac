"""Labels of thoughts by rollouts (arXiv 2510.07745, section 4)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ..models import LatentGenerateOutput, LatentSettings
from ..models.branches import branch
from ..models.tokens import pad_left
from ..tasks import Question, is_correct
from .errors import RewardError


@dataclass(frozen=True, kw_only=True)
class LabelledQuestion:
    """The trajectories of one question and what its thoughts are worth.

    Attributes:
        id: the question's name in its set.
        gold: the right answer, a canonical decimal.
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
    model: Any,
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
        questions: one batch; it holds B * N * M rows at a time.
        settings: N (`num_return_sequences`), the seed and the sampler.
        rollouts: M; with 0 every step's label is the trajectory's own correctness.

    Returns:
        One entry a question, in order.

    Raises:
        ModelError: a prompt that does not fit, or values that are not finite.
        RewardError: thoughts beyond the range of float16.
    """
    prompts = [model.encode_prompt(tokenizer, question.text) for question in questions]
    input_ids, mask = pad_left(prompts, model.latent_tokens.pad)
    output = model.generate(
        input_ids, mask, generation_config=settings, return_dict_in_generate=True
    )
    count = settings.num_return_sequences
    judge = _Judge(model, tokenizer, [question.gold for question in questions], count)
    answers = judge.answers(output)
    right = judge.right(answers, torch.arange(len(answers)))
    lengths = output.latent_lengths.cpu()
    depth = output.latent_thoughts.shape[1]
    there = torch.arange(depth) < lengths.unsqueeze(1)
    labels = right.float().unsqueeze(1) * there
    shares = right.view(-1, count).float().mean(dim=1)
    mixed = ((shares > 0) & (shares < 1)).nonzero().squeeze(1)
    if rollouts and len(mixed):
        own_rows = (mixed.unsqueeze(1) * count + torch.arange(count)).flatten()
        steps = branch(
            model,
            input_ids=input_ids[mixed],
            attention_mask=mask[mixed],
            trajectories=_select(output, own_rows),
            settings=settings,
            count=rollouts,
        )
        for begun in steps:
            places = own_rows[begun.rows.cpu()]
            rows = places.repeat_interleave(rollouts)
            good = judge.right(judge.answers(begun.output), rows).float()
            labels[places, begun.step - 1] = good.unflatten(0, (-1, rollouts)).mean(dim=1)
    thoughts = _half(output.latent_thoughts.cpu())
    entries = []
    for place, (question, prompt) in enumerate(zip(questions, prompts, strict=True)):
        own = slice(place * count, (place + 1) * count)
        longest = int(lengths[own].max())
        entries.append(
            LabelledQuestion(
                id=question.id,
                gold=question.gold,
                prompt=tuple(prompt),
                answers=tuple(answers[own]),
                thoughts=thoughts[own, :longest].clone(),
                lengths=lengths[own].clone(),
                labels=labels[own, :longest].clone(),
                right=right[own].clone(),
            )
        )
    return entries


class _Judge:
    """Reads answers and compares them with the gold ones; equal answers are read once."""

    def __init__(self, model: Any, tokenizer: Any, golds: Sequence[str], count: int) -> None:
        self._model, self._tokenizer = model, tokenizer
        self._golds, self._count = golds, count
        self._read: dict[tuple[int, ...], str | None] = {}
        self._judged: dict[tuple[str | None, str], bool] = {}

    def answers(self, output: LatentGenerateOutput) -> list[str | None]:
        """Return what each row answers."""
        return [self._answer(tuple(ids)) for ids in output.answer_ids()]

    def right(self, answers: Sequence[str | None], rows: torch.Tensor) -> torch.Tensor:
        """Return bool[R], whether answers are right, of trajectories at the places i64[R]."""
        golds = [self._golds[row // self._count] for row in rows.tolist()]
        return torch.tensor(
            [self._is_right(answer, gold) for answer, gold in zip(answers, golds, strict=True)]
        )

    def _answer(self, ids: tuple[int, ...]) -> str | None:
        if ids not in self._read:
            self._read[ids] = self._model.read_answer(self._tokenizer.decode(list(ids)))
        return self._read[ids]

    def _is_right(self, answer: str | None, gold: str) -> bool:
        pair = (answer, gold)
        if pair not in self._judged:
            self._judged[pair] = is_correct(answer, gold)
        return self._judged[pair]


def _select(output: LatentGenerateOutput, rows: torch.Tensor) -> LatentGenerateOutput:
    return LatentGenerateOutput(**{k: v[rows.to(v.device)] for k, v in output.items()})


def _half(thoughts: torch.Tensor) -> torch.Tensor:
    half = thoughts.half()
    if not bool(torch.isfinite(half).all()):
        raise RewardError(
            f"Thoughts reach {float(thoughts.abs().max()):g}, beyond float16's 65504, in which "
            "shards hold them. A sampler that strong gives no useful trajectories: lower noise_std."
        )
    return half

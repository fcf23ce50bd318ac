"""From token ids to a padded batch."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ..samplers.randomness import question_key, sample_keys


@dataclass(frozen=True)
class Sequences:
    """One example's token ids: what is asked, and what follows the thoughts.

    Attributes:
        prompt: at least one token.
        text: what is read after the thoughts.
        learned: how many tokens at the end of `text` are learned.
        visit: how often the example has been read before; each time it gets other random numbers.
    """

    prompt: Sequence[int]
    text: Sequence[int]
    learned: int
    visit: int = 0


def pad_batch(rows: Sequence[Sequences], *, pad: int, seed: int = 0) -> dict[str, torch.Tensor]:
    """Pad a batch: prompts on the left, once, and texts on the right.

    Args:
        rows: B examples.
        pad: token id that fills.
        seed: of the addresses.

    Returns:
        prompt i64[B, P], text i64[B, A], mask i64[B, P + A], keys i64[B] (the rows' addresses),
        states i64[K] (for each learned token the index of the state that predicts it, among the
        B * (A + 1) states that `unroll` returns) and targets i64[K] (the learned tokens).
    """
    width = max(len(row.prompt) for row in rows)
    length = max(len(row.text) for row in rows)
    prompts, texts, masks = [], [], []
    states: list[int] = []
    targets: list[int] = []
    for number, row in enumerate(rows):
        left, right = width - len(row.prompt), length - len(row.text)
        prompts.append([pad] * left + list(row.prompt))
        texts.append(list(row.text) + [pad] * right)
        masks.append([0] * left + [1] * (width - left + length - right) + [0] * right)
        first = len(row.text) - row.learned
        states += [number * (length + 1) + position for position in range(first, len(row.text))]
        targets += row.text[first:]
    questions = torch.tensor([question_key(seed, row.prompt) for row in rows])
    return {
        "prompt": torch.tensor(prompts),
        "text": torch.tensor(texts),
        "mask": torch.tensor(masks),
        "keys": sample_keys(questions, torch.tensor([row.visit for row in rows])),
        "states": torch.tensor(states),
        "targets": torch.tensor(targets),
    }

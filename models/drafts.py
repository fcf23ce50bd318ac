"""Answers that repeat themselves, several tokens at a time.

An answer that does not end nearly always repeats itself. What stood after the same tokens before is
read along with the next token, in one pass, and kept so far as the model itself goes on like that:
the same answer in fewer passes (speculative decoding, arXiv 2211.17192, with drafts looked up in
the answer itself).
"""

from collections.abc import Sequence

import torch

from .rows import Record, Rows

_INPUTS = 32  # in one pass: so many take hardly longer than one
_MOST = 15  # tokens that are drafted for a row
_LEAST = 3  # tokens that are drafted in any case: four inputs take no longer than one
_FEW = 8  # rows that are worth it; with more in the batch, a pass is full already
_ALIKE = (3, 2, 1)  # last tokens that must have stood together before, the more the better


def draft(rows: Rows, record: Record) -> torch.Tensor | None:
    """Guess what the rows' answers go on with.

    Args:
        rows: whose next token is chosen and written, but not read.
        record: where it is written.

    Returns:
        i64[R, n], -1 where there is no guess; None where it is not worth it.
    """
    if len(rows) > _FEW or bool(rows.thinking.any()):
        return None
    # The last token of an answer is not read, so drafts end before it.
    most = min(_MOST, _INPUTS // len(rows) - 1, int((rows.room - rows.tokens).min()) - 1)
    fed = rows.fed
    lines = zip(
        record.tokens[rows.index, : int(fed.max())].tolist(),
        (rows.thoughts + 1).tolist(),
        fed.tolist(),
        rows.trust.tolist(),
        strict=True,
    )
    guesses = [
        look_up(tokens[start:end], min(most, max(trust, _LEAST)))
        for tokens, start, end, trust in lines
    ]
    longest = max(map(len, guesses))
    if not longest:
        return None
    padded = [guess + [-1] * (longest - len(guess)) for guess in guesses]
    return torch.tensor(padded, device=rows.index.device)


def look_up(tokens: Sequence[int], most: int) -> list[int]:
    """Return `most` tokens that go on as it went on when the last tokens stood there before.

    Nothing if they never did.
    """
    text = list(tokens)
    for alike in _ALIKE:
        for end in range(len(text) - 1, alike - 1, -1):
            if text[end - alike : end] == text[-alike:]:
                for place in range(end, end + most):
                    text.append(text[place])  # on into the guess itself, where it repeats shortly
                return text[len(tokens) :]
    return []

"""Questions of the commands that train and measure: generated word problems."""

from ..tasks import Question
from ..tasks.arith import Problem, Split, generate


def arith_questions(split: Split, count: int, *, hard_share: float, seed: int) -> list[Question]:
    """Return generated word problems, a share of them with larger numbers, spread evenly."""
    chosen = arith_problems(split, count, hard_share=hard_share, seed=seed)
    return [Question(id=p.id, text=p.question, gold=p.answer) for p in chosen]


def arith_problems(split: Split, count: int, *, hard_share: float, seed: int) -> list[Problem]:
    """Return generated word problems with their steps, as `arith_questions` does."""
    hard = round(count * hard_share)
    parts = [
        iter(generate(split=split, count=size, seed=seed, hard=is_hard) if size else ())
        for size, is_hard in ((count - hard, False), (hard, True))
    ]
    # Number i is hard where the running share passes an integer.
    return [next(parts[(i + 1) * hard // count - i * hard // count]) for i in range(count)]

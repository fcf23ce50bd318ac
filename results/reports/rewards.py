"""What reward models gain over the vote, as `latent-tts reward-table` measured it."""

import pandas as pd

from ...tasks import STRATEGIES, find_strategy
from .table import percent, plus_minus

DETERMINISTIC = "deterministic"
"""What a table calls the answer of a run that samples nothing."""


def rewards_table(table: pd.DataFrame) -> str:
    """Return the measurements as a Markdown table, in per cent.

    Args:
        table: a row a task, N, reward model and strategy: its accuracy and stderr, and the
            difference to the vote on the same pools with the ends of its paired 95% interval.
    """
    vote = find_strategy("voting")
    found = set(table["strategy"]) - {vote.name}
    others = {name: one.title for name, one in STRATEGIES.items() if name in found}
    if DETERMINISTIC in found:
        others = {DETERMINISTIC: DETERMINISTIC} | others
    heads = ["task", "N", "coverage", vote.title, "reward model", *others.values()]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for (task, size, name), rows in table.groupby(["task", "N", "reward_model"], sort=False):
        by = rows.set_index("strategy")
        cells = [
            plus_minus(*by.loc[one, ["accuracy", "stderr"]]) for one in ("coverage", vote.name)
        ]
        cells.append(str(name))
        for strategy in others:
            row = by.loc[strategy]
            cells.append(
                f"{percent(row.accuracy)} ({percent(row.difference, signed=True)}: "
                f"{percent(row.low, signed=True)} to {percent(row.high, signed=True)})"
            )
        lines.append(f"| {task} | {size} | " + " | ".join(cells) + " |")
    return "\n".join(lines)

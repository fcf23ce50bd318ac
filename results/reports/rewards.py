"""What reward models gain over the vote, as `latent-tts reward-table` measured it."""

import pandas as pd


def rewards_table(table: pd.DataFrame) -> str:
    """Return the measurements as a Markdown table, in per cent.

    Args:
        table: a row a task, N, reward model and strategy: its accuracy and stderr, and the
            difference to the vote on the same pools with the ends of its paired 95% interval.
    """
    columns = ["task", "N", "coverage", "voting", "reward model"]
    columns += ["best-of-N", "weighted voting", "beam search"]
    lines = ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
    for (task, size, name), rows in table.groupby(["task", "N", "reward_model"], sort=False):
        by = rows.set_index("strategy")
        cells = [
            f"{100 * by.accuracy[strategy]:.1f} ± {100 * by.stderr[strategy]:.1f}"
            for strategy in ("coverage", "voting")
        ]
        cells.append(str(name))
        for strategy in ("best_of_n", "weighted_voting", "beam_search"):
            row = by.loc[strategy]
            cells.append(
                f"{100 * row.accuracy:.1f} ({100 * row.difference:+.1f}: "
                f"{100 * row.low:+.1f} to {100 * row.high:+.1f})"
            )
        lines.append(f"| {task} | {size} | " + " | ".join(cells) + " |")
    return "\n".join(lines)

"""Coverage and voting accuracy against the number of samples, from one run's pools."""

from collections.abc import Sequence

import pandas as pd

from ...tasks import default_ks, pool_metrics, read_tolerance
from ..runs.log import read_log
from ..runs.record import Run
from ..statistics import score_interval


def curve_table(run: Run, ks: Sequence[int] | None = None) -> pd.DataFrame:
    """Return the mean and standard error over questions of pass@k and voting@k.

    pass@k = 1 - C(N-c, k) / C(N, k) (arXiv 2107.03374, equation 1) is coverage with k samples.

    Args:
        run: one task of one run.
        ks: sample counts; powers of two and N if None.

    Returns:
        One row a k: task, run, k, questions, and coverage and voting, each with its standard error
        (`coverage_stderr`) and its 95% interval (`coverage_low`, `coverage_high`). Voting is left
        out where outcomes alone are known.

    Raises:
        ResultsError: the run's log cannot be read.
    """
    pools = [(logged.pool(), logged.question.gold) for logged in read_log(run)]
    sizes = tuple(ks) if ks is not None else default_ks(min(len(p.candidates) for p, _ in pools))
    tolerance = read_tolerance(run.tolerance)
    metrics = pd.DataFrame(
        pool_metrics(pool, gold, ks=sizes, tolerance=tolerance) for pool, gold in pools
    )
    rows = []
    for k in sizes:
        row: dict[str, object] = {"task": run.task, "run": run.name, "k": k}
        for name, metric in (("coverage", f"pass@{k}"), ("voting", f"voting@{k}")):
            if metric not in metrics:
                continue
            ends = score_interval(metrics[metric])
            row |= {name: metrics[metric].mean(), f"{name}_stderr": metrics[metric].sem()}
            row |= {f"{name}_low": ends.low, f"{name}_high": ends.high}
        rows.append(row | {"questions": len(pools)})
    return pd.DataFrame(rows)

"""Coverage and voting accuracy against the number of samples, from one run's pools."""

from collections.abc import Sequence
from pathlib import Path

import click
import pandas as pd

from ..tasks import default_ks, pool_metrics, read_tolerance
from .errors import ResultsError
from .files import writing
from .records import collect
from .run import Run
from .samples import RunSamples, read_samples


def curve_table(
    run: RunSamples, ks: Sequence[int] | None = None, *, tolerance: str = "0"
) -> pd.DataFrame:
    """Return the mean and standard error over questions of pass@k and voting@k.

    pass@k = 1 - C(N-c, k) / C(N, k) (arXiv 2107.03374, equation 1) is coverage with k samples.

    Args:
        run: a task's pools.
        ks: sample counts; powers of two and N if None.
        tolerance: difference from the gold answer that counts as right, a decimal.

    Returns:
        One row a k: task, run, k, coverage, coverage_stderr, voting, voting_stderr, questions.
    """
    count = min(len(pool.candidates) for pool in run.pools)
    sizes = tuple(ks) if ks is not None else default_ks(count)
    metrics = pd.DataFrame(
        pool_metrics(pool, gold, ks=sizes, tolerance=read_tolerance(tolerance))
        for pool, gold in zip(run.pools, run.golds, strict=True)
    )
    return pd.DataFrame(
        {
            "task": run.task,
            "run": run.name,
            "k": k,
            "coverage": metrics[f"pass@{k}"].mean(),
            "coverage_stderr": metrics[f"pass@{k}"].sem(),
            "voting": metrics[f"voting@{k}"].mean(),
            "voting_stderr": metrics[f"voting@{k}"].sem(),
            "questions": len(run.pools),
        }
        for k in sizes
    )


def draw_curves(tables: Sequence[pd.DataFrame], path: Path, *, description: str = "") -> None:
    """Draw coverage (solid) and voting (dashed) against k, a colour a run, with 95% bands.

    Args:
        tables: of `curve_table`.
        path: PNG or SVG to write.
        description: stored in the file, beside the picture.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.add_subplot()
    for number, table in enumerate(tables):
        for what, style in (("coverage", "-"), ("voting", "--")):
            mean, band = 100 * table[what], 196 * table[f"{what}_stderr"]
            label = f"{what}, {table['run'].iloc[0]}"
            axes.plot(table["k"], mean, style, color=f"C{number}", marker=".", label=label)
            axes.fill_between(table["k"], mean - band, mean + band, color=f"C{number}", alpha=0.12)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_xlabel("samples per question, N")
    axes.set_ylabel("questions answered right, %")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    figure.savefig(path, dpi=150, metadata={"Description": description})


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--task", default="latent_tts_arith", show_default=True, help="Whose curve.")
@click.option("--output", required=True, type=click.Path(path_type=Path), help="PNG or SVG.")
def curve(runs: Sequence[Path], task: str, output: Path) -> None:
    """Draw coverage and voting accuracy against N of lm_eval runs with --log_samples.

    RUNS are their --output_path folders; a folder's name is its line's name.
    """
    if output.suffix not in (".png", ".svg"):
        raise ResultsError(f"--output {str(output)!r} must end in .png or .svg.")
    tables = []
    for folder in runs:
        run = _newest(folder, task)
        samples = read_samples(run.samples, name=folder.name)
        tables.append(curve_table(samples, tolerance=run.tolerance))
    click.echo(pd.concat(tables).round(4).to_string(index=False))
    with writing(output):
        output.parent.mkdir(parents=True, exist_ok=True)
        draw_curves(tables, output)


def _newest(folder: Path, task: str) -> Run:
    found, problems = collect([folder])
    runs = [run for run in found if run.task == task]
    if not runs:
        reasons = "; ".join(map(str, problems)) or f"it has {', '.join(r.task for r in found)}"
        raise ResultsError(
            f"{str(folder)!r} holds no run of {task} that can be used: {reasons}. Name another "
            "--task or folder."
        )
    return runs[-1]

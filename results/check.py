"""`latent-tts check`: does a run still hold what the baseline promised?"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click
import pandas as pd

from .errors import ResultsError
from .gates import Fall, Speed, changed_answers, find_falls, read_ratios
from .run import Run
from .samples import read_samples
from .sides import build_sides, collect_and_tell

_SHOWN = 5  # changed answers in a report; more say no more


@click.command()
@click.argument("folder", required=False, type=click.Path(exists=True, path_type=Path))
@click.option("--baseline", type=click.Path(exists=True, path_type=Path), help="Run or runs.")
@click.option("--alpha", default=0.01, show_default=True, help="False-alarm rate allowed.")
@click.option("--max-changed", default=0, show_default=True, help="Answers that may change.")
@click.option("--partial", is_flag=True, help="Not all of the baseline need be run again.")
@click.option("--ratios", type=click.Path(exists=True, path_type=Path), help="JSON of speeds.")
@click.pass_context
def check(
    context: click.Context,
    folder: Path | None,
    baseline: Path | None,
    alpha: float,
    max_changed: int,
    partial: bool,
    ratios: Path | None,
) -> None:
    """Fail if runs in FOLDER are worse than the same runs of the baseline.

    A sampled run fails if pass@1, voting@N, best_of_n@N, weighted_voting@N or beam search fell
    further than a paired one-sided test at alpha allows, adjusted for the number of tests (Holm):
    the same model under another seed fails with a probability of alpha at most. A deterministic run
    (latent_do_sample=false) fails if an answer changed. A run of the baseline that was not run
    again, or cannot be read, fails unless --partial is given. --ratios, which `tox -e bench`
    writes, fails if a speed ratio lies below its bound. Exit code 1 means that something failed.
    """
    if (folder is None) != (baseline is None) or (folder is None and ratios is None):
        raise ResultsError("Give a run folder and its --baseline, or --ratios, or all of these.")
    failed = False
    if folder is not None and baseline is not None:
        pairs, missing = pair_runs(collect_and_tell(folder), collect_and_tell(baseline))
        for run in missing:
            click.echo(f"{_label(run)}: not run{'' if partial else ', MISSING'}\n")
        failed |= bool(missing) and not partial
        failed |= _check_sampled([pair for pair in pairs if not _deterministic(pair)], alpha)
        for pair in pairs:
            if _deterministic(pair):
                failed |= _check_deterministic(*pair, max_changed=max_changed)
    if ratios is not None:
        failed |= _check_speed(read_ratios(ratios))
    click.echo("FAILED" if failed else "passed")
    context.exit(int(failed))


def pair_runs(new: Sequence[Run], old: Sequence[Run]) -> tuple[list[tuple[Run, Run]], list[Run]]:
    """Find for every run of the baseline the newest one with its task and settings.

    Seed, checkpoint and package versions may differ. Where both sides have one run of a task they
    are paired although their settings differ, and this is told on stderr.

    Returns:
        The pairs, new and old, and the runs of the baseline that have no partner.

    Raises:
        ResultsError: no run has a partner.
    """
    pairs, missing = [], []
    for before in old:
        same = [run for run in new if _purpose(run) == _purpose(before)]
        alone = [run for run in new if run.task == before.task]
        if not same and len(alone) == 1 and sum(run.task == before.task for run in old) == 1:
            same = alone
            click.echo(f"note: settings differ: {_differences(alone[0], before)}.", err=True)
        if same:
            pairs.append((same[-1], before))
        else:
            missing.append(before)
    if not pairs:
        raise ResultsError(
            "No run of the baseline was run again with its task and settings; there is nothing to "
            "check."
        )
    return pairs, missing


def _purpose(run: Run) -> tuple[object, ...]:
    settings = {name: value for name, value in run.config.settings.items() if name != "seed"}
    values = sorted((name, repr(value)) for name, value in settings.items())
    return (run.task, run.config.backbone, run.config.reward_model, *values)


def _deterministic(pair: tuple[Run, Run]) -> bool:
    return all(run.config.deterministic for run in pair)


def _label(run: Run) -> str:
    config = run.config
    strength = "" if config.strength is None else f" {config.strength:g}"
    return f"{run.task}, {config.sampler}{strength}, N = {config.samples}"


def _differences(new: Run, old: Run) -> str:
    ours, theirs = new.config.settings, old.config.settings
    names = sorted(name for name in {*ours, *theirs} if ours.get(name) != theirs.get(name))
    listed = [f"{name} is {ours.get(name)}, was {theirs.get(name)}" for name in names]
    return "; ".join([new.task, *listed])


def _check_sampled(pairs: Sequence[tuple[Run, Run]], alpha: float) -> bool:
    tables = {}
    for new, old in pairs:
        sides = build_sides([[replace(new, name="the run")], [replace(old, name="the baseline")]])
        now, before = (side.means for side in sides)
        tables[f"{_label(old)} ({len(now)} questions; {new.name} against {old.name})"] = now, before
    falls = find_falls(tables, alpha=alpha)
    if falls:
        click.echo(_table(falls, alpha))
    return any(fall.failed for fall in falls)


def _table(falls: Sequence[Fall], alpha: float) -> str:
    lines = []
    for run in dict.fromkeys(fall.run for fall in falls):
        rows = [fall for fall in falls if fall.run == run]
        table = pd.DataFrame(
            {
                "now": fall.new,
                "baseline": fall.old,
                "difference": fall.new - fall.old,
                "stderr": fall.stderr,
                "p": fall.p,
                "": f"FELL: p <= {alpha:g}" if fall.failed else "ok",
            }
            for fall in rows
        )
        table.index = pd.Index([fall.metric for fall in rows])
        lines += [run, table.to_string(float_format="{:.4f}".format), ""]
    return "\n".join(lines)


def _check_deterministic(new: Run, old: Run, *, max_changed: int) -> bool:
    build_sides([[replace(new, name="the run")], [replace(old, name="the baseline")]])
    changed = changed_answers(
        read_samples(new.samples, name=new.name), read_samples(old.samples, name=old.name)
    )
    failed = len(changed) > max_changed
    click.echo(
        f"{_label(old)}: {len(changed)} of {old.questions} answers changed, {max_changed} may: "
        f"{'CHANGED' if failed else 'ok'}"
    )
    for key, now, before in changed[:_SHOWN]:
        click.echo(f"  question {key}: now {now!r}, was {before!r}")
    if len(changed) > _SHOWN:
        click.echo(f"  … and {len(changed) - _SHOWN} more")
    click.echo()
    return failed


def _check_speed(speeds: Sequence[Speed]) -> bool:
    table = pd.DataFrame(
        {"ratio": s.ratio, "bound": s.bound, "": "SLOWER" if s.failed else "ok"} for s in speeds
    )
    table.index = pd.Index([speed.name for speed in speeds])
    click.echo(table.to_string(float_format="{:.2f}".format) + "\n")
    return any(speed.failed for speed in speeds)

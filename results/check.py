"""`latent-tts check`: does a run still hold what the baseline promised?"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click
import pandas as pd

from .errors import ResultsError
from .gates import Fall, Speed, changed_answers, find_falls, read_ratios
from .pairing import pair_runs
from .run import Run
from .samples import read_samples
from .sides import Side, build_sides, collect_and_tell

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
    (latent_do_sample=false) fails if an answer changed. Every run in FOLDER is checked; one that
    cannot be, for it cannot be read or the baseline has none of its task and settings, fails, and
    so does a run of the baseline that cannot be read or, unless --partial is given, was not run
    again. --ratios, which `tox -e bench` writes, fails if a speed ratio lies below its bound. Exit
    code 1 means that something failed.
    """
    if (folder is None) != (baseline is None) or (folder is None and ratios is None):
        raise ResultsError("Give a run folder and its --baseline, or --ratios, or all of these.")
    failed = False
    if folder is not None and baseline is not None:
        failed |= _check_runs(
            folder, baseline, alpha=alpha, max_changed=max_changed, partial=partial
        )
    if ratios is not None:
        failed |= _check_speed(read_ratios(ratios))
    click.echo("FAILED" if failed else "passed")
    context.exit(int(failed))


def _check_runs(
    folder: Path, baseline: Path, *, alpha: float, max_changed: int, partial: bool
) -> bool:
    (new, bad), (old, worse) = collect_and_tell(folder), collect_and_tell(baseline)
    pairing = pair_runs(new, old)
    lost = [problem.path for problem in (*bad, *worse) if problem.lost]
    for path in lost:
        click.echo(f"{path}: NOT READ, see above\n")
    for run in pairing.missing:
        click.echo(f"{_label(run)}: not run{'' if partial else ', MISSING'}\n")
    for run in pairing.untested:
        click.echo(f"{_label(run)} ({run.name}): no such run in the baseline, NOT CHECKED\n")
    failed = bool(lost or pairing.untested) or (bool(pairing.missing) and not partial)
    sampled = [pair for pair in pairing.pairs if not _deterministic(pair)]
    failed |= _check_sampled(sampled, alpha)
    for pair in pairing.pairs:
        if _deterministic(pair):
            failed |= _check_deterministic(*pair, max_changed=max_changed)
    return failed


def _deterministic(pair: tuple[Run, Run]) -> bool:
    return all(run.config.deterministic for run in pair)


def _label(run: Run) -> str:
    config = run.config
    strength = "" if config.strength is None else f" {config.strength:g}"
    return f"{run.task}, {config.sampler}{strength}, N = {config.samples}"


def _check_sampled(pairs: Sequence[tuple[Run, Run]], alpha: float) -> bool:
    tables, failed = {}, False
    for new, old in pairs:
        try:
            now, before = (side.means for side in _judge(new, old))
        except ResultsError as error:
            failed |= _tell_unpaired(new, old, error)
            continue
        tables[f"{_label(old)} ({len(now)} questions; {new.name} against {old.name})"] = now, before
    falls = find_falls(tables, alpha=alpha)
    if falls:
        click.echo(_table(falls, alpha))
    return failed or any(fall.failed for fall in falls)


def _judge(new: Run, old: Run) -> list[Side]:
    return build_sides([[replace(new, name="the run")], [replace(old, name="the baseline")]])


def _tell_unpaired(new: Run, old: Run, error: ResultsError) -> bool:
    """Report a pair that cannot be checked, which must not keep others from being checked."""
    click.echo(f"{_label(old)} ({new.name} against {old.name}): NOT CHECKED: {error}\n")
    return True


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
    try:
        _judge(new, old)
        changed = changed_answers(
            read_samples(new.samples, name=new.name), read_samples(old.samples, name=old.name)
        )
    except ResultsError as error:
        return _tell_unpaired(new, old, error)
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
